"""Health, version and admin of a small service."""

import json

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

pytestmark = pytest.mark.django_db


def test_a_service_that_can_work_is_healthy(client: Client) -> None:
    answer = client.get("/health")

    assert answer.status_code == 200
    assert json.loads(answer.content) == {"status": "ok", "database": True, "redis": True}


def test_a_service_without_redis_is_not_healthy(client: Client, settings: LazySettings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    answer = client.get("/health")

    assert answer.status_code == 503
    assert json.loads(answer.content)["redis"] is False


def test_the_version_is_that_of_the_package(client: Client) -> None:
    assert json.loads(client.get("/version").content)["version"] == "0.1.0"


def test_the_administrator_is_made_once_and_keeps_his_password(
    monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    monkeypatch.setenv("ADMIN_USERNAME", "operator")
    for password in ("first password", "second password"):
        monkeypatch.setenv("ADMIN_PASSWORD", password)
        call_command("ensure_admin")

    assert User.objects.filter(username="operator", is_superuser=True).count() == 1
    assert client.login(username="operator", password="first password")

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db


def test_the_front_page_is_the_admin(client: Client) -> None:
    assert client.get("/").headers["Location"] == "/admin/"


def test_health_and_version_need_no_login(client: Client) -> None:
    assert (client.get("/health").status_code, client.get("/version").json()["service"]) == (
        200,
        "validator",
    )

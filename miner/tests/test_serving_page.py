"""The panel's page of the serving switch."""

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from compute_horde_common.contrib.django import serving
from compute_horde_common.contrib.django.models import Serving

PAGE = "/admin/common/serving/1/change/"


def row() -> tuple[bool, str]:
    found = Serving.objects.get()
    return found.on, found.reason


def test_an_operator_switches_serving_off_and_on_again(admin_client: Client) -> None:
    before = Serving.objects.get().switched_at

    admin_client.post(PAGE, {"reason": "moved to another server"})
    off, switched_at = row(), Serving.objects.get().switched_at
    admin_client.post(PAGE, {"on": "on", "reason": ""})

    assert (off, row()) == ((False, "moved to another server"), (True, ""))
    assert switched_at > before
    assert LogEntry.objects.count() == 2


def test_a_reason_can_be_changed_later(admin_client: Client) -> None:
    admin_client.post(PAGE, {"reason": "moved"})
    before = Serving.objects.get().switched_at

    admin_client.post(PAGE, {"reason": "moved to Ireland"})

    assert row() == (False, "moved to Ireland")
    assert Serving.objects.get().switched_at == before


def test_the_page_says_what_the_switch_does(admin_client: Client) -> None:
    page = admin_client.get(PAGE).content.decode()

    assert "declines jobs as busy" in page
    assert "drain" in page


def test_there_is_one_switch_always(admin_client: Client) -> None:
    added = admin_client.post("/admin/common/serving/add/", {"on": "on"}).status_code
    deleted = admin_client.post("/admin/common/serving/1/delete/", {"post": "yes"}).status_code

    assert (added, deleted, Serving.objects.count()) == (403, 403, 1)


@pytest.mark.django_db
def test_visitors_cannot_switch(client: Client) -> None:
    answer = client.post(PAGE, {"reason": "malice"})

    assert (answer.status_code, serving.is_serving()) == (302, True)

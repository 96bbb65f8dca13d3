"""The pages that every service's admin has."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from compute_horde_common.contrib.django import outbox
from compute_horde_common.contrib.django.content_policy import POLICY
from compute_horde_common.contrib.django.intruder import everything, pages_by_rights, try_to_write
from compute_horde_common.contrib.django.models import Outbox, StoredReceipt

pytestmark = pytest.mark.django_db


@pytest.fixture
def receipt() -> StoredReceipt:
    return StoredReceipt.objects.create(
        receipt_type="JobStartedReceipt",
        job_uuid=uuid4(),
        validator_hotkey="validator",
        miner_hotkey="miner",
        timestamp=datetime(2026, 1, 1, tzinfo=UTC),
        validator_signature="0x",
        payload="{}",
        line="{}",
    )


def a_message() -> Outbox:
    body = """{"env": {"PASSWORD": "swordfish"}, "volume": {"token": "hf_trout"},
        "output_upload": {"url": "https://me:salmon@s3.example/b?X-Amz-Signature=herring",
        "form_fields": {"policy": "mackerel"}}, "args": ["<script>"]}"""
    outbox.put("peer", "job", body)
    return Outbox.objects.get()


def test_receipts_can_only_be_looked_at(
    admin_client: Client, admin_user: User, receipt: StoredReceipt
) -> None:
    before = everything()

    statuses = try_to_write(admin_client, receipt)

    assert everything() == before
    assert 403 in statuses
    assert pages_by_rights(admin_user)[0] == {"StoredReceipt"}


def test_a_message_in_the_outbox_can_be_deleted_but_not_changed(admin_client: Client) -> None:
    message = a_message()
    page = f"/admin/common/outbox/{message.pk}"

    changed = admin_client.post(f"{page}/change/", {"body": "x", "recipient": "y"})
    kept = list(Outbox.objects.values())
    admin_client.post(f"{page}/delete/", {"post": "yes"})

    assert changed.status_code == 403
    assert kept[0]["recipient"] == "peer"
    assert not Outbox.objects.exists()


def test_a_message_in_the_outbox_is_shown_without_credentials(admin_client: Client) -> None:
    message = a_message()

    page = admin_client.get(f"/admin/common/outbox/{message.pk}/change/").content.decode()

    assert [
        word for word in ("PASSWORD", "https://s3.example/b", "policy") if word not in page
    ] == []
    secrets = ("swordfish", "trout", "salmon", "herring", "mackerel", '<script>"')
    assert [word for word in secrets if word in page] == []


def test_the_intruder_gets_through_where_rows_may_be_written(admin_client: Client) -> None:
    group = Group.objects.create(name="operators")

    try_to_write(admin_client, group)

    assert not Group.objects.filter(name="operators").exists()


def new_password(password: str) -> dict[str, str]:
    return {"usable_password": "true", "password1": password, "password2": password}


def test_operators_can_be_added_and_get_another_password(admin_client: Client) -> None:
    passwords = {"password1": "a long passphrase", "password2": "a long passphrase"}
    admin_client.post(
        "/admin/auth/user/add/", {"username": "eve", "usable_password": "true", **passwords}
    )
    eve = User.objects.get(username="eve")
    other = {"password1": "another passphrase", "password2": "another passphrase"}
    admin_client.post(f"/admin/auth/user/{eve.pk}/password/", {"usable_password": "true", **other})

    pages = [f"/admin/auth/user/{eve.pk}/change/", "/admin/auth/user/", "/admin/auth/group/add/"]
    assert [admin_client.get(page).status_code for page in pages] == [200, 200, 200]
    assert Client().login(username="eve", password="another passphrase")


def test_a_short_password_is_refused(admin_client: Client) -> None:
    form = {"username": "eve", **new_password("x")}

    page = admin_client.post("/admin/auth/user/add/", form).content.decode()

    assert "too short" in page
    assert not User.objects.filter(username="eve").exists()


def test_a_whole_uuid_finds_its_receipt_however_it_is_spelt(
    admin_client: Client, receipt: StoredReceipt
) -> None:
    spellings = (str(receipt.job_uuid).upper(), receipt.job_uuid.hex, f" {receipt.job_uuid} ")

    pages = [admin_client.get("/admin/common/storedreceipt/", {"q": text}) for text in spellings]

    assert [page.context["cl"].result_count for page in pages] == [1, 1, 1]


@pytest.mark.parametrize("text", ["\0", "'; drop table", "%", "ż" * 5000])
def test_strange_searches_find_nothing(admin_client: Client, text: str) -> None:
    answer = admin_client.get("/admin/common/outbox/", {"q": text})

    assert answer.status_code == 200


def test_pages_of_the_admin_run_only_their_own_scripts(admin_client: Client) -> None:
    answers = [admin_client.get("/admin/"), Client().get("/admin/login/")]

    assert {answer.headers["Content-Security-Policy"] for answer in answers} == {POLICY}
    assert {answer.headers["X-Frame-Options"] for answer in answers} == {"DENY"}
    assert {answer.headers["Referrer-Policy"] for answer in answers} == {"same-origin"}
    assert "unsafe-inline" not in POLICY.partition("script-src")[2].partition(";")[0]

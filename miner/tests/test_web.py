from datetime import UTC, datetime
from uuid import uuid4

import pytest
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User
from django.test import Client

from compute_horde_common.chain.keys import Hotkey
from compute_horde_common.contrib.django.receipt_pages import page_at
from compute_horde_common.protocol.live import JOB_CONTROL
from compute_horde_common.protocol.receipts import sign_receipt
from miner.asgi import application
from miner.models import Job, Slot, Validator
from miner.services import receipts
from tests import examples

AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("table", ["job", "slot", "executor", "validator", "blacklistedvalidator"])
def test_the_admin_lists_every_table(admin_client: Client, admin_user: User, table: str) -> None:
    assert admin_client.get(f"/admin/miner/{table}/").status_code == 200


def test_the_admin_shows_a_job_with_what_was_said(admin_client: Client, alice: Hotkey) -> None:
    job = Job.objects.create(
        job_uuid=uuid4(),
        validator=alice.ss58,
        executor_class=examples.CLASS,
        accepted_at=AT,
        deadline=AT,
        last_activity=AT,
    )
    for position, kind in enumerate(("AcceptJob", "JobLog", "JobProgress")):
        job.messages.create(position=position, kind=kind, text="{}", said_at=AT)

    page = admin_client.get(f"/admin/miner/job/{job.id}/change/").content.decode()

    assert [kind in page for kind in ("AcceptJob", "JobLog", "JobProgress")] == [True, False, True]


def test_the_version_is_told_in_the_words_that_are_asked_for(client: Client) -> None:
    assert set(client.get("/version").json()) == {"miner_version", "runner_version"}


def test_the_front_page_is_the_admin(client: Client) -> None:
    assert client.get("/").headers["Location"] == "/admin/"


@pytest.mark.django_db
def test_a_stored_receipt_is_on_the_current_page(client: Client, alice: Hotkey) -> None:
    payload = examples.started(alice, AT, str(uuid4()), {})

    receipts.store(payload, sign_receipt(payload, alice), AT)

    page = client.get(f"/receipts/{page_at(AT)}.jsonl").content.decode()
    assert payload.job_uuid in page


@pytest.mark.django_db(transaction=True)
async def test_both_sockets_are_routed() -> None:
    for path in ("validator_interface/nobody", "executor_interface/nothing"):
        socket = WebsocketCommunicator(application, f"/v0.1/{path}")
        connected, _ = await socket.connect()
        assert connected
        assert "message_type" in await socket.receive_json_from(timeout=5)
        await socket.disconnect()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["validator_interface/nobody", "executor_interface/nothing"])
@pytest.mark.parametrize(
    ("offered", "chosen"),
    [(["another", JOB_CONTROL], JOB_CONTROL), (["another"], None), (None, None)],
)
async def test_both_sockets_choose_job_control_where_it_is_offered(
    path: str, offered: list[str] | None, chosen: str | None
) -> None:
    socket = WebsocketCommunicator(application, f"/v0.1/{path}", subprotocols=offered)

    assert await socket.connect() == (True, chosen)

    await socket.disconnect()


def test_the_admin_says_why_a_slot_is_not_offered(admin_client: Client) -> None:
    Slot.objects.create(
        executor_class=examples.CLASS, index=0, unfit="the driver is too old", unfit_at=AT
    )

    page = admin_client.get("/admin/miner/slot/").content.decode()

    assert "unfit because" in page.lower()
    assert "the driver is too old" in page


@pytest.mark.django_db
def test_nobody_is_served_by_default() -> None:
    assert not Validator.objects.exists()

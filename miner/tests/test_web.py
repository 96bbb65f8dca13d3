from datetime import UTC, datetime
from uuid import uuid4

import pytest
from channels.testing import WebsocketCommunicator
from django.test import Client

from compute_horde_common.chain.keys import Hotkey
from compute_horde_common.contrib.django.receipt_pages import page_at
from compute_horde_common.protocol.live import JOB_CONTROL
from compute_horde_common.protocol.receipts import sign_receipt
from miner.asgi import application
from miner.models import Validator
from miner.services import receipts
from tests import examples

AT = datetime(2026, 1, 1, tzinfo=UTC)


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


@pytest.mark.django_db
def test_nobody_is_served_by_default() -> None:
    assert not Validator.objects.exists()

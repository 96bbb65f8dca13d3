"""Receipts as stored, and as served page by page."""

import gzip
import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.test import Client, RequestFactory

from compute_horde_common.clock import HandWoundClock
from compute_horde_common.contrib.django import receipt_pages
from compute_horde_common.contrib.django.models import StoredReceipt
from compute_horde_common.protocol.receipts import JobAcceptedReceiptPayload, Receipt

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PAGE = int(NOW.timestamp()) // 300
URL = f"/receipts/{PAGE}.jsonl"

pytestmark = pytest.mark.django_db


def a_receipt(number: int = 0) -> Receipt:
    return Receipt(
        payload=JobAcceptedReceiptPayload(
            job_uuid=str(UUID(int=number)),
            miner_hotkey="5Miner",
            validator_hotkey="5Validator",
            timestamp=NOW,
            time_accepted=NOW,
            ttl=30,
        ),
        validator_signature="0xaa",
        miner_signature="0xbb",
    )


def test_a_page_has_a_line_per_receipt_in_the_order_of_publishing(client: Client) -> None:
    receipts = [a_receipt(number) for number in (3, 1, 2)]
    for receipt in receipts:
        receipt_pages.publish(receipt, NOW)
    receipt_pages.publish(a_receipt(9), NOW + timedelta(seconds=300))

    answer = client.get(URL)

    assert answer.status_code == 200
    assert answer.content.decode() == "".join(f"{each.model_dump_json()}\n" for each in receipts)


def test_a_receipt_is_stored_once(client: Client) -> None:
    first = receipt_pages.publish(a_receipt(), NOW)
    again = receipt_pages.publish(a_receipt(), NOW + timedelta(hours=1))
    kept = receipt_pages.keep(a_receipt().payload, "0xcc")

    assert (first, again, kept) == (True, False, False)
    assert StoredReceipt.objects.get().page == PAGE


def test_what_is_kept_is_not_published() -> None:
    assert receipt_pages.keep(a_receipt().payload, "0xaa")

    row = StoredReceipt.objects.get()
    assert (row.page, row.miner_signature, row.ttl) == (None, None, 30)


def test_a_range_from_a_checkpoint_is_what_came_since(client: Client) -> None:
    receipt_pages.publish(a_receipt(1), NOW)
    checkpoint = len(client.get(URL).content)
    receipt_pages.publish(a_receipt(2), NOW)

    answer = client.get(URL, headers={"Range": f"bytes={checkpoint}-", "Accept-Encoding": ""})

    total = 2 * checkpoint
    assert answer.status_code == 206
    assert answer.content.decode() == a_receipt(2).model_dump_json() + "\n"
    assert answer["Content-Range"] == f"bytes {checkpoint}-{total - 1}/{total}"
    assert "Content-Encoding" not in answer


def test_a_range_after_the_end_is_not_satisfiable(client: Client) -> None:
    receipt_pages.publish(a_receipt(), NOW)
    total = len(client.get(URL).content)

    answer = client.get(URL, headers={"Range": f"bytes={total}-"})

    assert (answer.status_code, answer["Content-Range"]) == (416, f"bytes */{total}")


@pytest.mark.parametrize("header", ["bytes=", "bytes=-5", "lines=1-", "bytes=1-2,4-5", "bytes=x-"])
def test_a_range_of_another_form_is_ignored(client: Client, header: str) -> None:
    receipt_pages.publish(a_receipt(), NOW)

    assert client.get(URL, headers={"Range": header}).status_code == 200


@pytest.mark.parametrize("page", [PAGE + 1, 0, 10**30])
def test_a_page_without_receipts_does_not_exist(client: Client, page: int) -> None:
    assert client.get(f"/receipts/{page}.jsonl").status_code == 404


@pytest.mark.parametrize(
    ("age_seconds", "accepted", "encoding"),
    [
        (0, "gzip", None),
        (599, "gzip", None),
        (600, "deflate, gzip", "gzip"),
        (600, "gzip;q=0", None),
        (600, "", None),
    ],
)
def test_only_archived_pages_are_compressed(
    age_seconds: int, accepted: str, encoding: str | None
) -> None:
    receipt_pages.publish(a_receipt(), NOW)
    (pattern,) = receipt_pages.receipt_urls(HandWoundClock(NOW + timedelta(seconds=age_seconds)))
    request = RequestFactory().get(URL, headers={"Accept-Encoding": accepted})

    answer = pattern.callback(request, page=PAGE)

    body = gzip.decompress(answer.content) if encoding else answer.content
    assert answer.get("Content-Encoding") == encoding
    assert body.decode() == a_receipt().model_dump_json() + "\n"


@pytest.mark.django_db(transaction=True)
def test_nobody_publishes_while_another_does() -> None:
    published = threading.Event()

    def publish_too() -> None:
        receipt_pages.publish(a_receipt(2), NOW)
        published.set()
        connection.close()

    with transaction.atomic():
        receipt_pages.publish(a_receipt(1), NOW)
        other = threading.Thread(target=publish_too)
        other.start()
        assert not published.wait(0.2)
    other.join(10)

    assert published.is_set()


def test_pages_are_only_read(client: Client) -> None:
    assert client.post(URL).status_code == 405

"""Receipts are stored once, and published as pages: the receipts that were published within the
same 300 seconds, one line each. A page only ever grows at its end."""

import gzip
import re
from datetime import datetime
from http import HTTPStatus
from typing import Protocol

from django.db import connection, transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.views.decorators.http import require_safe
from typing_extensions import override

from compute_horde_common.clock import Clock, SystemClock
from compute_horde_common.contrib.django.models.receipts import StoredReceipt
from compute_horde_common.protocol.receipts import PAGE_SECONDS, Receipt, ReceiptPayload
from compute_horde_common.protocol.signatures import sorted_text

ACTIVE_PAGES = 2
CONTENT_TYPE = "application/x-ndjson"
_PUBLISHING_LOCK = 0x7265636569707473
_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{1,18})?")


def page_at(at: datetime) -> int:
    """The page on which a receipt published ``at`` that moment is."""
    return int(at.timestamp()) // PAGE_SECONDS


@transaction.atomic
def publish(receipt: Receipt, at: datetime) -> bool:
    """Stores a receipt and puts it on the current page; false if it was stored before.

    Until the transaction ends, nobody else can publish: that is what keeps the lines of a page
    in the order in which they became visible.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_PUBLISHING_LOCK])
    return _insert(
        receipt.payload,
        receipt.validator_signature,
        receipt.miner_signature,
        line=receipt.model_dump_json(),
        page=page_at(at),
    )


def keep(
    payload: ReceiptPayload, validator_signature: str, miner_signature: str | None = None
) -> bool:
    """Stores a receipt without publishing it; false if it was stored before."""
    line = (
        Receipt(
            payload=payload,
            validator_signature=validator_signature,
            miner_signature=miner_signature,
        ).model_dump_json()
        if miner_signature is not None
        else ""
    )
    return _insert(payload, validator_signature, miner_signature, line=line, page=None)


def page_text(page: int) -> str:
    """The content of a page, empty if nothing was published on it."""
    lines = StoredReceipt.objects.filter(page=page).order_by("id").values_list("line", flat=True)
    return "".join(f"{line}\n" for line in lines)


def receipt_urls(clock: Clock | None = None) -> list[URLPattern]:
    """The URL patterns that serve ``/receipts/<page>.jsonl``."""
    return [path("receipts/<int:page>.jsonl", require_safe(_PageView(clock or SystemClock())))]


class _View(Protocol):
    def __call__(self, request: HttpRequest, page: int) -> HttpResponse: ...


class _PageView(_View):
    """Whole pages compressed where that cannot break a range; ranges always as they are."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    @override
    def __call__(self, request: HttpRequest, page: int) -> HttpResponse:
        content = page_text(page).encode() if page.bit_length() < 63 else b""  # noqa: PLR2004
        if not content:
            raise Http404("no such page")
        wanted = _RANGE.fullmatch(request.headers.get("Range", "").strip())
        if wanted:
            return _part(content, int(wanted[1]), int(wanted[2]) if wanted[2] else None)
        archived = page <= page_at(self._clock.now()) - ACTIVE_PAGES
        if archived and _accepts_gzip(request):
            return _answer(gzip.compress(content, mtime=0), encoding="gzip")
        return _answer(content)


def _accepts_gzip(request: HttpRequest) -> bool:
    offers = request.headers.get("Accept-Encoding", "").replace(" ", "").lower().split(",")
    return any(offer == "gzip" or offer.startswith("gzip;q=0.") for offer in offers) or (
        "gzip;q=1" in offers
    )


def _part(content: bytes, first: int, last: int | None) -> HttpResponse:
    total = len(content)
    end = min(total - 1, total - 1 if last is None else last)
    if first >= total or end < first:
        refused = _answer(b"", HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
        refused["Content-Range"] = f"bytes */{total}"
        return refused
    part = _answer(content[first : end + 1], HTTPStatus.PARTIAL_CONTENT)
    part["Content-Range"] = f"bytes {first}-{end}/{total}"
    return part


def _answer(
    body: bytes, status: HTTPStatus = HTTPStatus.OK, encoding: str | None = None
) -> HttpResponse:
    answer = HttpResponse(body, status=status, content_type=CONTENT_TYPE)
    answer["Accept-Ranges"] = "bytes"
    answer["Vary"] = "Accept-Encoding"
    if encoding:
        answer["Content-Encoding"] = encoding
    return answer


def _insert(
    payload: ReceiptPayload,
    validator_signature: str,
    miner_signature: str | None,
    *,
    line: str,
    page: int | None,
) -> bool:
    started = getattr(payload, "executor_class", None)
    row = StoredReceipt(
        receipt_type=payload.receipt_type,
        job_uuid=payload.job_uuid,
        validator_hotkey=payload.validator_hotkey,
        miner_hotkey=payload.miner_hotkey,
        timestamp=payload.timestamp,
        executor_class=str(started) if started is not None else None,
        is_organic=getattr(payload, "is_organic", None),
        ttl=getattr(payload, "ttl", None),
        validator_signature=validator_signature,
        miner_signature=miner_signature,
        payload=sorted_text(payload),
        line=line,
        page=page,
    )
    known = StoredReceipt.objects.filter(receipt_type=row.receipt_type, job_uuid=row.job_uuid)
    if known.exists():
        return False
    StoredReceipt.objects.bulk_create([row], ignore_conflicts=True)
    return known.filter(line=line, validator_signature=validator_signature).exists()

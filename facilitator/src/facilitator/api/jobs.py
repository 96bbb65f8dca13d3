"""Jobs: submit one, look at them, report that a miner cheated."""

from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Header, Query, Router
from pydantic import BaseModel, Field
from pydantic_core import to_json

from compute_horde_common.jobs.lifecycle import JobStatus
from compute_horde_common.protocol.rest import (
    CheatReport,
    JobCreate,
    JobPage,
    JobView,
    signature_from_headers,
)
from compute_horde_common.protocol.signatures import (
    BadSignature,
    Signature,
    cheat_report_payload,
    check,
    check_age,
)
from facilitator import wiring
from facilitator.api.auth import Authenticated, BearerToken
from facilitator.config import config
from facilitator.domain.refusals import Malformed, NotFound
from facilitator.domain.submissions import nanoseconds, submission
from facilitator.services import cheating, jobs, reading

DEFAULT_PAGE_SIZE = 10
LARGEST_PAGE = 256
MOST_DIGITS = 9

router = Router(tags=["jobs"], auth=BearerToken())


class Told(BaseModel):
    """What became of a request."""

    message: str


class Selection(BaseModel):
    """Which jobs to list. Sizes and pages that make no sense are not refused: a size becomes
    the usual or the largest one, and a page is not found."""

    page: str = Field(default="1", description="From 1, or `last`.")
    page_size: str = Field(default="", description=f"At most {LARGEST_PAGE}.")
    tag: str | None = Field(default=None, description="Only jobs with exactly this tag.")
    uuid: list[str] = Field(default=[], description="Only these jobs; may be repeated.")
    status: list[str] = Field(
        default=[], description="Only jobs with one of these statuses; may be repeated."
    )


@router.post("/job-docker/", response={201: JobView})
def create_job(
    request: Authenticated,
    body: JobCreate,
    idempotency_key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="A name of your own for this request: sent again with the same body, it"
            " answers 201 with the same job; with another body, 409.",
        ),
    ] = None,
) -> HttpResponse:
    """Submits a job. Its spec is signed in the X-CH-Signature headers, at most ten minutes ago; a
    signature that was used before answers 201 with the job that it made."""
    now = wiring.clock().now()
    signature = signature_from_headers(dict(request.headers))
    wanted = submission(request.auth, body, signature, idempotency_key, now, wiring.verify)
    job = jobs.submit(wanted, answer_limit=config.answer_limit_seconds, at=now)
    return _json(reading.view(job), HTTPStatus.CREATED)


@router.get("/jobs/", response=JobPage)
def list_jobs(request: Authenticated, selection: Query[Selection]) -> HttpResponse:
    """Your jobs, newest first."""
    page = reading.page(
        request.auth,
        number=_page_number(selection.page),
        size=_page_size(selection.page_size),
        wanted=reading.Wanted(
            tag=_tag(selection.tag),
            uuids=[_uuid(text) for text in selection.uuid],
            statuses=[_status(text) for text in selection.status],
        ),
    )
    following = page.number + 1 if page.number < page.pages else None
    preceding = page.number - 1 if page.number > 1 else None
    return _json(
        {
            "count": page.count,
            "next": _page_url(request, following),
            "previous": _page_url(request, preceding),
            "results": page.jobs,
        }
    )


@router.get("/jobs/{uuid:job_uuid}/", response=JobView)
def get_job(request: Authenticated, job_uuid: UUID) -> HttpResponse:
    """One of your jobs."""
    return _json(reading.one(job_uuid, request.auth))


@router.post("/cheated-job/", response={201: Told})
def report_cheated_job(request: Authenticated, body: CheatReport) -> HttpResponse:
    """Reports that a job's result is not what the same job gave on a trusted miner. Sign it in
    the X-CH-Signature headers (scope FullRequest), or the validator will not believe it."""
    now = wiring.clock().now()
    signature = _signature_if_any(request)
    if signature is not None:
        check_age(signature, nanoseconds(now))
        payload = cheat_report_payload(str(body.job_uuid), str(body.trusted_job_uuid), body.details)
        check(signature, payload, wiring.verify)
    cheating.report(body, signature, hotkey=request.auth, at=now)
    return _json({"message": "The report is on its way to the validator."}, HTTPStatus.CREATED)


def _json(value: object, status: HTTPStatus = HTTPStatus.OK) -> HttpResponse:
    return HttpResponse(to_json(value), content_type="application/json", status=status)


def _signature_if_any(request: HttpRequest) -> Signature | None:
    try:
        return signature_from_headers(dict(request.headers))
    except BadSignature:
        return None


def _page_number(text: str) -> int:
    if text == "last":
        return reading.LAST_PAGE
    number = _number(text)
    if not number:
        raise NotFound("There is no such page; pages count from 1.")
    return number


def _page_size(text: str) -> int:
    return min(_number(text) or DEFAULT_PAGE_SIZE, LARGEST_PAGE)


def _number(text: str) -> int | None:
    digits = text.strip()
    usable = digits.isascii() and digits.isdigit() and len(digits) <= MOST_DIGITS
    return int(digits) if usable else None


def _tag(text: str | None) -> str | None:
    if text is not None and "\0" in text:
        raise Malformed({"tag": ["The text has a NUL in it."]})
    return text or None


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Malformed({"uuid": [f"{text[:64]!r} is no UUID."]}) from None


def _status(text: str) -> JobStatus:
    try:
        return JobStatus(text.lower().replace(" ", "_"))
    except ValueError:
        known = ", ".join(JobStatus)
        raise Malformed({"status": [f"{text[:64]!r} is no status; there are {known}."]}) from None


def _page_url(request: HttpRequest, number: int | None) -> str | None:
    if number is None:
        return None
    query = request.GET.copy()
    query["page"] = str(number)
    return request.build_absolute_uri(f"{request.path}?{urlencode(list(query.lists()), True)}")

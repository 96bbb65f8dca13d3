"""Jobs as their authors see them: one, or a page of them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import QuerySet

from compute_horde_common.jobs.lifecycle import JobStatus
from facilitator.domain.refusals import NotFound
from facilitator.domain.views import Entry, Facts, Progress, View, job_view
from facilitator.models import Job, StatusChange

LAST_PAGE = 0


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a hotkey's jobs, newest first. Pages count from 1."""

    number: int
    pages: int
    count: int
    jobs: list[View]


def view(job: Job) -> View:
    """How a job is shown."""
    if job.status == JobStatus.SENT.value:
        return job_view(_facts(job), [Entry(job.status, "", job.created_at)])
    return _views([job])[0]


def one(job_uuid: UUID, hotkey: str) -> View:
    """A job of that hotkey's.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    job = Job.objects.filter(uuid=job_uuid, hotkey=hotkey).first()
    if job is None:
        raise NotFound("There is no such job of yours.")
    return view(job)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of a hotkey's jobs: with this tag (None for any), one of these UUIDs (none for any) and
    one of these statuses (likewise)."""

    tag: str | None = None
    uuids: Sequence[UUID] = ()
    statuses: Sequence[JobStatus] = ()


def page(hotkey: str, *, number: int, size: int, wanted: Wanted) -> Page:
    """A page of a hotkey's jobs.

    Args:
        hotkey: whose.
        number: of the page, from 1; `LAST_PAGE` for the last.
        size: how many jobs on a page.
        wanted: which jobs.

    Raises:
        NotFound: there are not so many pages.
    """
    found = _selected(hotkey, wanted)
    count = found.count()
    pages = max(1, -(-count // size))
    chosen = pages if number == LAST_PAGE else number
    if not 1 <= chosen <= pages:
        raise NotFound(f"There is no such page; the last is {pages}.")
    start = (chosen - 1) * size
    return Page(chosen, pages, count, _views(list(found[start : start + size])))


def progress_of(job: Job) -> Progress | None:
    """What a job said last of how far it is, if it said anything."""
    if job.progress_percent is None or job.progress_at is None:
        return None
    return Progress(job.progress_percent, job.progress_text, job.progress_at)


def _selected(hotkey: str, wanted: Wanted) -> QuerySet[Job]:
    found = Job.objects.filter(hotkey=hotkey).order_by("-created_at", "-uuid")
    if wanted.tag is not None:
        found = found.filter(tag=wanted.tag)
    if wanted.uuids:
        found = found.filter(uuid__in=wanted.uuids)
    if wanted.statuses:
        found = found.filter(status__in=[status.value for status in wanted.statuses])
    return found


def _views(jobs: list[Job]) -> list[View]:
    history: defaultdict[UUID, list[Entry]] = defaultdict(list)
    rows = StatusChange.objects.filter(job_id__in=[job.uuid for job in jobs]).order_by("id")
    for job_uuid, status, metadata, at in rows.values_list("job_id", "status", "metadata", "at"):
        history[job_uuid].append(Entry(status, metadata, at))
    return [job_view(_facts(job), history[job.uuid]) for job in jobs]


def _facts(job: Job) -> Facts:
    return Facts(
        uuid=str(job.uuid),
        spec=job.spec,
        target=job.validator_id,
        namespace=job.namespace,
        tag=job.tag,
        status=job.status,
        created_at=job.created_at,
        last_update=job.last_update,
        cancel_requested_at=job.cancel_requested_at,
        progress=progress_of(job),
    )

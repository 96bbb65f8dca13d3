"""What authors see of their jobs while they run, and afterwards: output, and all that happened."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from facilitator.domain.following import Cursor, News, in_turn
from facilitator.domain.output import Piece, pieces_of_result
from facilitator.domain.refusals import NotFound
from facilitator.domain.views import Entry
from facilitator.models import Job, StatusChange, StoredPiece
from facilitator.models.jobs import ENDED
from facilitator.services.reading import progress_of

PATIENCE: Final = timedelta(seconds=5)
"""How long output waits for a piece that is missing before it."""


@dataclass(frozen=True, slots=True)
class LogPage:
    """Pieces in the order of their numbers, and where the next page starts. ``ended``: the job has
    ended, and there is nothing after these."""

    pieces: Sequence[Piece]
    next_offset: int
    ended: bool


def log_page(job_uuid: UUID, hotkey: str, at: datetime, *, offset: int, limit: int) -> LogPage:
    """What a job wrote, from the piece with the number ``offset`` on.

    Raises:
        NotFound: there is no such job of that hotkey.
    """
    job = _own(job_uuid, hotkey)
    pieces, more = _pieces(job, offset, limit, at)
    following = pieces[-1].number + 1 if pieces else offset
    return LogPage(pieces, following, ended=job.status in ENDED and not more)


def news(job_uuid: UUID, hotkey: str, at: datetime, *, since: Cursor, limit: int) -> News:
    """What is new of a job, with at most ``limit`` pieces (0 leaves its output out); errors as of
    `log_page`."""
    # The status is read first: all that was there before a job ended is seen together with its end.
    job = _own(job_uuid, hotkey)
    pieces, more = _pieces(job, since.piece, limit, at) if limit else ((), False)
    return News(
        status=job.status,
        entries=_entries(job)[since.statuses :],
        pieces=pieces,
        progress=progress_of(job),
        more=more,
        ended=job.status in ENDED,
    )


def _own(job_uuid: UUID, hotkey: str) -> Job:
    job = (
        Job.objects.filter(uuid=job_uuid, hotkey=hotkey)
        .only("status", "log_pieces", "progress_percent", "progress_text", "progress_at")
        .first()
    )
    if job is None:
        raise NotFound("There is no such job of yours.")
    return job


def _pieces(job: Job, first: int, limit: int, at: datetime) -> tuple[Sequence[Piece], bool]:
    """Some pieces of output, and whether there are more. A job that ended without having told any
    has those of its result."""
    ended = job.status in ENDED
    if ended and not job.log_pieces:
        found = [piece for piece in _of_result(job) if piece.number >= first]
    else:
        rows = StoredPiece.objects.filter(job=job, number__gte=first).order_by("number")
        found = [
            Piece(row.number, row.stream, row.text, row.dropped, row.at)
            for row in rows[: limit + 1]
        ]
    shown = found[:limit] if ended else in_turn(found[:limit], first, at, PATIENCE)
    return shown, len(shown) == limit < len(found)


def _of_result(job: Job) -> list[Piece]:
    ending = [entry for entry in _entries(job) if entry.status == job.status]
    return pieces_of_result(ending[0]) if ending else []


def _entries(job: Job) -> list[Entry]:
    rows = StatusChange.objects.filter(job=job).order_by("id")
    return [Entry(*row) for row in rows.values_list("status", "metadata", "at")]

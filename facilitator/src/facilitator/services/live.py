"""What jobs write and say of themselves while they run, stored as their validators pass it on."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from django.db import transaction

from compute_horde_common.contrib.django.mailbox import wake_on_commit
from compute_horde_common.protocol.live import LIVE_BYTES, JobLog, JobProgress, LogPiece
from facilitator.models import Job, StoredPiece
from facilitator.models.jobs import ENDED
from facilitator.services.topics import job_topic

STILL_TAKEN: Final = timedelta(seconds=60)
"""How long after its end a job's output is taken."""
MOST_PIECES: Final = 131_072
"""Of one job's output: a piece takes space beside its text. Two a second for 18 hours."""

log = structlog.get_logger(__name__)


def record(message: JobLog | JobProgress, *, validator: str, at: datetime) -> None:
    """Stores what one of a validator's jobs writes or says of its progress.

    The same piece twice is stored once. What comes for another validator's job, too late, or beyond
    `LIVE_BYTES` or `MOST_PIECES` is left out.
    """
    match message:
        case JobProgress():
            _note_progress(message, validator, at)
        case JobLog():
            _store(message, validator, at)


@transaction.atomic
def _note_progress(message: JobProgress, validator: str, at: datetime) -> None:
    running = Job.objects.filter(uuid=message.job_uuid, validator_id=validator)
    changed = running.exclude(status__in=ENDED).update(
        progress_percent=message.percent, progress_text=_storable(message.text), progress_at=at
    )
    if changed:
        wake_on_commit(job_topic(UUID(message.job_uuid)))


@transaction.atomic
def _store(message: JobLog, validator: str, at: datetime) -> None:
    among = Job.objects.filter(uuid=message.job_uuid, validator_id=validator)
    job = (
        among.select_for_update(no_key=True)
        .only("status", "last_update", "log_bytes", "log_pieces")
        .first()
    )
    if job is None or (job.status in ENDED and job.last_update < at - STILL_TAKEN):
        log.info("output of no running job", job=message.job_uuid)
        return
    new = _unknown(job, message.pieces)
    if not new or not _is_within(job):
        return
    rows = [_row(job, piece, at) for piece in _fitting(job, new)]
    job.save(update_fields=["log_bytes", "log_pieces"])
    StoredPiece.objects.bulk_create(rows, ignore_conflicts=True)
    wake_on_commit(job_topic(job.uuid))


def _unknown(job: Job, pieces: list[LogPiece]) -> list[LogPiece]:
    offered = {piece.number: piece for piece in reversed(pieces)}
    known = StoredPiece.objects.filter(job=job, number__in=list(offered))
    for number in known.values_list("number", flat=True):
        del offered[number]
    return [offered[number] for number in sorted(offered)]


def _fitting(job: Job, pieces: list[LogPiece]) -> Iterator[LogPiece]:
    """The pieces that are stored, counted. After the first that is not, none ever is."""
    for piece in pieces:
        job.log_bytes += len(piece.text.encode())
        job.log_pieces += 1
        if not _is_within(job):
            log.warning("job writes more than is kept", job=str(job.uuid), first=piece.number)
            return
        yield piece


def _is_within(job: Job) -> bool:
    return job.log_bytes <= LIVE_BYTES and job.log_pieces <= MOST_PIECES


def _row(job: Job, piece: LogPiece, at: datetime) -> StoredPiece:
    return StoredPiece(
        job=job,
        number=piece.number,
        stream=piece.stream,
        text=_storable(piece.text),
        dropped=piece.dropped,
        at=at,
    )


def _storable(text: str) -> str:
    """PostgreSQL's texts have no NUL."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")

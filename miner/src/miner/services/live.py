"""What a job writes while it runs, kept for its validator: bounded, and never in the job's way."""

from datetime import datetime
from typing import Final

import structlog
from django.db import transaction

from compute_horde_common.protocol.live import LIVE_BYTES, JobLog, JobProgress
from miner.domain.progress import OPEN, RUNNING
from miner.models import Job, JobMessage
from miner.services import messages

log = structlog.get_logger(__name__)

MOST_PIECES: Final = 131_072
"""Of one job's output: a piece takes space beside its text. Two a second for 18 hours."""

_COUNTS: Final = ("live_bytes", "live_pieces")


@transaction.atomic
def relay(job_uuid: str, message: JobLog | JobProgress, at: datetime) -> None:
    """Takes down the output of a running job, or progress: also that of a job whose image is still
    on its way. What comes out of turn, and output beyond `LIVE_BYTES` or `MOST_PIECES`, is left
    out; of progress only the latest is kept."""
    among = Job.objects.defer("offer", "start").select_for_update(no_key=True)
    states = OPEN if isinstance(message, JobProgress) else RUNNING
    job = among.filter(job_uuid=job_uuid, state__in=states).first()
    if job is None:
        return
    if isinstance(message, JobProgress):
        JobMessage.objects.filter(job=job, kind=JobProgress.__name__).delete()
    elif not _has_room(job, message):
        return
    messages.add(job, message, at)
    job.last_activity = at
    job.save(update_fields=["messages_said", "last_activity", *_COUNTS])


def _has_room(job: Job, message: JobLog) -> bool:
    """Whether output is stored. After the first that is not, none is: nothing is missing in the
    middle."""
    if not _is_within(job):
        return False
    job.live_bytes += sum(len(piece.text.encode()) for piece in message.pieces)
    job.live_pieces += len(message.pieces) or 1
    if _is_within(job):
        return True
    job.save(update_fields=_COUNTS)
    log.warning("job writes more than is kept", job=message.job_uuid)
    return False


def _is_within(job: Job) -> bool:
    return job.live_bytes <= LIVE_BYTES and job.live_pieces <= MOST_PIECES

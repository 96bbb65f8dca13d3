"""What is said to a validator about a job, by position, and which of its sockets says it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from compute_horde_common.contrib.django.mailbox import wake_on_commit
from compute_horde_common.protocol.base import Message, encode
from compute_horde_common.protocol.live import JobLog, JobProgress
from miner.models import Job, JobMessage
from miner.services.topics import job_topic, validator_topic

SOCKET_LEASE = timedelta(seconds=45)
"""A socket that has not been seen for so long is dead, with the process that held it."""
LIVE_KINDS: Final = (JobLog.__name__, JobProgress.__name__)
_BATCH = 16


@dataclass(frozen=True, slots=True)
class News:
    """What was said about a job after a position, up to the next one. ``over``: no more comes."""

    texts: tuple[str, ...]
    position: int
    over: bool


def add(job: Job, message: Message, at: datetime) -> None:
    """Says one thing more about a job, unless its validator is done with it. The job's row is to
    be saved by the caller."""
    job.messages_said += 1
    if job.closed_at is None:
        JobMessage.objects.create(
            job=job,
            position=job.messages_said,
            kind=type(message).__name__,
            text=encode(message),
            said_at=at,
        )
    wake_on_commit(job_topic(job.job_uuid))


def news(job_uuid: str, position: int, socket: str | None, at: datetime, *, live: bool) -> News:
    """What was said about a job after ``position``.

    Args:
        job_uuid: the job.
        position: of the last message that was passed on.
        socket: whose news these are; once the job is another socket's, there are none. None for
            a socket that merely listens.
        at: now; the socket lives.
        live: whether the validator understands live output and progress.
    """
    wanted = Job.objects.filter(job_uuid=job_uuid)
    job = wanted.values("id", "socket", "closed_at", "messages_said").first()
    if job is None or job["closed_at"] is not None or socket not in {None, job["socket"]}:
        return News((), position, over=True)
    if socket is not None:
        stale = at - SOCKET_LEASE / 3
        Job.objects.filter(id=job["id"], socket_seen__lt=stale).update(socket_seen=at)
    rows = list(
        JobMessage.objects.filter(job_id=job["id"], position__gt=position)
        .exclude(kind__in=() if live else LIVE_KINDS)
        .order_by("position")
        .values_list("position", "text")[:_BATCH]
    )
    # Nothing up to what was said before we looked is left, so nobody looks through it again.
    said = job["messages_said"] if len(rows) < _BATCH else 0
    reached = max(position, said, rows[-1][0] if rows else 0)
    return News(tuple(text for _, text in rows), reached, over=False)


def detach(socket: str) -> None:
    """Notes that a socket is gone."""
    for job in Job.objects.filter(socket=socket, closed_at=None):
        if Job.objects.filter(id=job.id, socket=socket).update(socket="", socket_seen=None):
            wake_on_commit(validator_topic(job.validator))


def without_socket(validator: str, at: datetime) -> list[str]:
    """A validator's jobs that nobody listens to."""
    jobs = Job.objects.filter(validator=validator, closed_at=None)
    dead = jobs.exclude(socket_seen__gte=at - SOCKET_LEASE)
    return [str(found) for found in dead.values_list("job_uuid", flat=True)]

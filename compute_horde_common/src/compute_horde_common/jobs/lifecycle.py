"""THE state machine of a job. Everything that may happen to a job's status is in this file,
and this file does not know which service runs it.

Status says where a job is; a failure (`failures`) says why it ended.
"""

from collections.abc import Mapping

from compute_horde_common.python310 import StrEnum


class JobStatus(StrEnum):
    """Where a job is. Values are the wire's."""

    SENT = "sent"
    RECEIVED = "received"
    ACCEPTED = "accepted"
    EXECUTOR_READY = "executor_ready"
    VOLUMES_READY = "volumes_ready"
    STREAMING_READY = "streaming_ready"
    EXECUTION_DONE = "execution_done"
    COMPLETED = "completed"
    REJECTED = "rejected"
    FAILED = "failed"
    HORDE_FAILED = "horde_failed"

    @property
    def is_end(self) -> bool:
        """Whether nothing can follow."""
        return self in ENDINGS

    @property
    def label(self) -> str:
        """The capitalised word that clients before 0.0.16 read."""
        return LABELS[self]


ENDINGS = frozenset(
    {JobStatus.COMPLETED, JobStatus.REJECTED, JobStatus.FAILED, JobStatus.HORDE_FAILED}
)

PROGRESS = (
    JobStatus.SENT,
    JobStatus.RECEIVED,
    JobStatus.ACCEPTED,
    JobStatus.EXECUTOR_READY,
    JobStatus.VOLUMES_READY,
    JobStatus.STREAMING_READY,
    JobStatus.EXECUTION_DONE,
)
"""The order in which a job goes forward. A stage may be passed over: not every job streams, and
a peer that lost its link reports only where the job is now."""

NEXT: Mapping[JobStatus, frozenset[JobStatus]] = {
    **{status: frozenset(PROGRESS[place + 1 :]) | ENDINGS for place, status in enumerate(PROGRESS)},
    **{ending: frozenset() for ending in ENDINGS},
}

LABELS: Mapping[JobStatus, str] = {
    **{status: status.value.replace("_", " ").title() for status in JobStatus},
    JobStatus.HORDE_FAILED: "Failed",
}


class IllegalMove(ValueError):
    """A job may not go from ``now`` to ``to``."""

    def __init__(self, now: JobStatus, to: JobStatus) -> None:
        super().__init__(f"a job that is {now} cannot become {to}")
        self.now = now
        self.to = to


def advance(now: JobStatus, to: JobStatus) -> JobStatus:
    """``to``, if a job may go there from ``now``.

    Raises:
        IllegalMove: it may not.
    """
    if to not in NEXT[now]:
        raise IllegalMove(now, to)
    return to

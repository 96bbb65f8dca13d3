"""How far a job on this miner is. Everything that may happen to it is in this table."""

from enum import StrEnum

from compute_horde_common.jobs.failures import JobFailure, JobFailureReason, Stage
from compute_horde_common.protocol.validator_miner import (
    ExecutionDone,
    ExecutorReady,
    HordeFailed,
    JobFailedReport,
    JobFinished,
    MachineSpecs,
    StartJob,
    StreamingReady,
    VolumesReady,
)


class JobState(StrEnum):
    """Where a job is, seen from its miner."""

    ACCEPTED = "accepted"
    READY = "ready"
    STARTED = "started"
    VOLUMES = "volumes"
    STREAMING = "streaming"
    EXECUTED = "executed"
    ENDED = "ended"


Step = (
    ExecutorReady
    | StartJob
    | VolumesReady
    | StreamingReady
    | ExecutionDone
    | MachineSpecs
    | JobFinished
    | JobFailedReport
    | HordeFailed
)
"""Messages that move a job, or are allowed only in some of its states."""

RUNNING = frozenset({JobState.STARTED, JobState.VOLUMES, JobState.STREAMING, JobState.EXECUTED})
OPEN = frozenset(JobState) - {JobState.ENDED}
ENDING = (JobFinished, JobFailedReport, HordeFailed)

_MOVES: dict[type[Step], tuple[frozenset[JobState], JobState | None]] = {
    ExecutorReady: (frozenset({JobState.ACCEPTED}), JobState.READY),
    StartJob: (frozenset({JobState.READY}), JobState.STARTED),
    VolumesReady: (frozenset({JobState.STARTED}), JobState.VOLUMES),
    StreamingReady: (frozenset({JobState.VOLUMES}), JobState.STREAMING),
    ExecutionDone: (frozenset({JobState.VOLUMES, JobState.STREAMING}), JobState.EXECUTED),
    MachineSpecs: (RUNNING, None),
    JobFinished: (frozenset({JobState.EXECUTED}), JobState.ENDED),
    JobFailedReport: (OPEN, JobState.ENDED),
    HordeFailed: (OPEN, JobState.ENDED),
}


_STAGES = {
    JobState.STARTED: Stage.VOLUME_DOWNLOAD,
    JobState.VOLUMES: Stage.EXECUTION,
    JobState.STREAMING: Stage.EXECUTION,
    JobState.EXECUTED: Stage.RESULT_UPLOAD,
}


class OutOfOrder(ValueError):
    """A message that a job in its present state cannot take."""

    def __init__(self, state: JobState, step: Step) -> None:
        super().__init__(f"{step.message_type} is out of order: the job is {state}")


def after(state: JobState, step: Step) -> JobState:
    """The state of a job that was in ``state`` once ``step`` was said about it.

    Raises:
        OutOfOrder: it cannot be said now.
    """
    allowed, following = _MOVES[type(step)]
    if state not in allowed:
        raise OutOfOrder(state, step)
    return following or state


def cancelled(state: JobState) -> JobFailure:
    """What is said about a job in ``state`` that was cancelled, when its executor does not."""
    return JobFailure(
        reason=JobFailureReason.CANCELLED,
        stage=_STAGES.get(state, Stage.EXECUTOR_STARTUP),
        message="The job was cancelled by its author.",
    )

"""What a job on a miner waits for, in which order, and until when.

The first two phases have limits of their own. Then one deadline runs through the rest: each
phase adds what the job may take in it, and time that was not needed is left to the next.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Self

from compute_horde_common.jobs.executor_classes import executor_class
from compute_horde_common.jobs.failures import (
    HordeFailure,
    HordeFailureReason,
    JobFailure,
    JobFailureReason,
    Participant,
    Stage,
)
from compute_horde_common.jobs.lifecycle import JobStatus
from compute_horde_common.jobs.spec import JobSpec
from compute_horde_common.jobs.timing import Deadline, Limits

REPORT_SECONDS = 3
"""The executor watches the same limits, and knows better what took too long: so much later than
its own time-out may its report arrive."""


class Phase(StrEnum):
    """What the miner has to say next."""

    RESERVATION = "reservation"
    READINESS = "readiness"
    VOLUMES = "volumes"
    STREAMING = "streaming"
    EXECUTION = "execution"
    FINAL = "final"


TIMED_OUT: Mapping[Phase, HordeFailureReason] = {
    Phase.RESERVATION: HordeFailureReason.INITIAL_RESPONSE_TIMED_OUT,
    Phase.READINESS: HordeFailureReason.EXECUTOR_READINESS_RESPONSE_TIMED_OUT,
    Phase.VOLUMES: HordeFailureReason.VOLUMES_TIMED_OUT,
    Phase.STREAMING: HordeFailureReason.STREAMING_JOB_READY_TIMED_OUT,
    Phase.EXECUTION: HordeFailureReason.EXECUTION_TIMED_OUT,
    Phase.FINAL: HordeFailureReason.FINAL_RESPONSE_TIMED_OUT,
}

REACHED: Mapping[Phase, JobStatus] = {
    Phase.RESERVATION: JobStatus.ACCEPTED,
    Phase.READINESS: JobStatus.EXECUTOR_READY,
    Phase.VOLUMES: JobStatus.VOLUMES_READY,
    Phase.STREAMING: JobStatus.STREAMING_READY,
    Phase.EXECUTION: JobStatus.EXECUTION_DONE,
    Phase.FINAL: JobStatus.COMPLETED,
}
"""The status that a job has once its phase is over."""

STAGES: Mapping[Phase, Stage] = {
    Phase.RESERVATION: Stage.EXECUTOR_STARTUP,
    Phase.READINESS: Stage.EXECUTOR_STARTUP,
    Phase.VOLUMES: Stage.VOLUME_DOWNLOAD,
    Phase.STREAMING: Stage.STREAMING_STARTUP,
    Phase.EXECUTION: Stage.EXECUTION,
    Phase.FINAL: Stage.RESULT_UPLOAD,
}
"""The stage that a job is in during a phase."""

BEFORE_EXECUTION = frozenset({Phase.RESERVATION, Phase.READINESS, Phase.VOLUMES})
"""Phases in which another miner may still take the job: nothing of it has run."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The phase that a job is in on its miner, and when that must be over."""

    phase: Phase
    deadline: Deadline


@dataclass(frozen=True, slots=True)
class Budget:
    """How long each phase of one job may take, in seconds."""

    reservation: int
    readiness: int
    limits: Limits
    streams: bool

    @classmethod
    def of(cls, spec: JobSpec, *, reservation: int, startup: int) -> Self:
        """The budget of a job; ``startup`` comes on top of its class's spin-up time."""
        return cls(
            reservation=reservation,
            readiness=executor_class(spec.executor_class).spin_up_seconds + startup,
            limits=spec.limits,
            streams=spec.streaming_details is not None,
        )

    @property
    def occupied(self) -> int:
        """The longest time that an accepted job may keep its executor, in seconds."""
        return self.readiness + self.limits.total

    @property
    def paid(self) -> int:
        """What a completed job is worth, in executor-seconds."""
        return self.limits.download + self.limits.execution + self.limits.upload

    def start(self, now: datetime) -> Progress:
        """The offer is made."""
        return Progress(Phase.RESERVATION, Deadline.starting(now, self.reservation))

    def after(self, progress: Progress, now: datetime) -> Progress:
        """The phase that follows one that has ended ``now``."""
        deadline = progress.deadline
        match progress.phase:
            case Phase.RESERVATION:
                return Progress(Phase.READINESS, Deadline.starting(now, self.readiness))
            case Phase.READINESS:
                first = self.limits.leeway + self.limits.download + REPORT_SECONDS
                running = Deadline.starting(now, first)
                return Progress(Phase.VOLUMES, running)
            case Phase.VOLUMES if self.streams:
                return Progress(Phase.STREAMING, deadline.extended(self.limits.streaming_start))
            case Phase.VOLUMES | Phase.STREAMING:
                return Progress(Phase.EXECUTION, deadline.extended(self.limits.execution))
            case Phase.EXECUTION | Phase.FINAL:
                return Progress(Phase.FINAL, deadline.extended(self.limits.upload))


def timed_out(phase: Phase) -> HordeFailure:
    """The failure of a job whose miner did not say in time what the phase waits for."""
    return HordeFailure(
        reported_by=Participant.VALIDATOR,
        reason=TIMED_OUT[phase],
        message=f"the miner did not answer in time ({phase})",
    )


def cancelled(phase: Phase | None) -> JobFailure:
    """The failure of a job that its author cancelled, in a phase or while it was on no miner."""
    return JobFailure(
        reason=JobFailureReason.CANCELLED,
        stage=STAGES[phase] if phase else Stage.EXECUTOR_STARTUP,
        message="The job was cancelled by its author.",
    )

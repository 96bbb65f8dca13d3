"""A job, and a job on a miner: the values that services, conversations and tests share."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from compute_horde_common.jobs.failures import (
    HordeFailure,
    HordeFailureReason,
    JobFailure,
    JobFailureReason,
    Participant,
    Rejection,
    RejectionReason,
    Stage,
)
from compute_horde_common.jobs.spec import JobSpec
from compute_horde_common.protocol.facilitator_validator import (
    MAX_FRAME_TO_FACILITATOR,
    MinerResponse,
    StatusMetadata,
)
from compute_horde_common.protocol.validator_miner import (
    TRUSTED_MINER_HOTKEY,
    JobFinished,
    OfferJob,
)
from validator.domain.phases import Budget, Progress
from validator.domain.routing import Choice

MOST_REASONS = 64
MOST_OUTPUT = 1 << 20
MOST_MESSAGE = 4096
ENVELOPE = 4096
"""What a status update needs beside its metadata, in bytes."""


@dataclass(frozen=True, slots=True)
class TrustedMiner:
    """Where the validator's own miner is."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Terms:
    """The operator's terms for jobs. Times are in seconds.

    ``routing`` is how long a job waits while every executor that fits runs a job of ours.
    ``startup`` is what an executor may take on top of its class's spin-up time.
    ``allow_private`` lets the validator connect to miners that announce a private address.
    """

    reservation: int
    startup: int
    routing: int
    allow_private: bool
    trusted_miner: TrustedMiner | None


@dataclass(frozen=True, slots=True)
class JobCase:
    """A job that was taken, wherever it is now. ``cancelled``: its author wants it ended."""

    uuid: str
    spec: JobSpec
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Assignment:
    """A job on one miner, fresh or taken up again.

    ``attempt`` is the row's id. ``progress`` is ``None`` until the miner has accepted: then the
    offer is made (again), and its limit starts. ``counts`` is the manifest as we know it.
    """

    attempt: int
    case: JobCase
    miner_hotkey: str
    host: str
    port: int
    offer: OfferJob
    budget: Budget
    started_at: datetime
    progress: Progress | None = None
    counts: Mapping[str, int] | None = None

    @property
    def on_trusted_miner(self) -> bool:
        """Whether the miner is our own, which needs no paying."""
        return self.miner_hotkey == TRUSTED_MINER_HOTKEY

    @property
    def score(self) -> str:
        """What the finished receipt says when the job completes, in executor-seconds."""
        return WORTHLESS if self.on_trusted_miner else f"{self.budget.paid:.6f}"


WORTHLESS = f"{0:.6f}"


def no_miner(choice: Choice, executor_class: str) -> Rejection:
    """The rejection of a job that no miner can take; its context lists why each one cannot."""
    reasons = dict(list(choice.passed_over.items())[:MOST_REASONS])
    return Rejection(
        rejected_by=Participant.VALIDATOR,
        reason=RejectionReason.NO_MINER_FOR_JOB,
        message=f"no miner can run a job of class {executor_class} now",
        context={
            "exception_type": "NoMinerForJob",
            "miners": len(choice.passed_over),
            "passed_over": {hotkey: obstacle.value for hotkey, obstacle in reasons.items()},
        },
    )


def no_trusted_miner() -> Rejection:
    """The rejection of a job for a trusted miner where there is none."""
    return Rejection(
        rejected_by=Participant.VALIDATOR,
        reason=RejectionReason.NO_MINER_FOR_JOB,
        message="this validator has no trusted miner. Its operator can set "
        "TRUSTED_MINER_ADDRESS and TRUSTED_MINER_PORT",
        context={"exception_type": "NoTrustedMiner"},
    )


def unhandled(error: BaseException) -> HordeFailure:
    """The failure of a job whose driver met something that nobody thought of."""
    return HordeFailure(
        reported_by=Participant.VALIDATOR,
        reason=HordeFailureReason.UNHANDLED_EXCEPTION,
        message="the validator met an error while it drove the job",
        context={"exception_type": type(error).__name__},
    )


def result_of(finished: JobFinished) -> StatusMetadata | JobFailure:
    """What is reported of a finished job; a failure when it is more than the facilitator takes."""
    metadata = StatusMetadata(
        miner_response=MinerResponse(
            docker_process_stderr=finished.docker_process_stderr,
            docker_process_stdout=finished.docker_process_stdout,
            artifacts=finished.artifacts,
            upload_results=finished.upload_results,
        )
    )
    if len(metadata.model_dump_json().encode()) + ENVELOPE <= MAX_FRAME_TO_FACILITATOR:
        return metadata
    return JobFailure(
        reason=JobFailureReason.UPLOAD_FAILED,
        stage=Stage.RESULT_UPLOAD,
        message="the job's output and artifacts are together larger than the "
        f"{MAX_FRAME_TO_FACILITATOR >> 20} MiB that can be passed on; use uploads",
    )


def within_bounds(failure: Rejection | JobFailure | HordeFailure) -> StatusMetadata:
    """What is reported of a failure; a miner that tells a long story is cut short."""
    short: dict[str, object] = {"message": failure.message[:MOST_MESSAGE]}
    if len(str(failure.context)) > MOST_OUTPUT:
        short["context"] = None
    match failure:
        case JobFailure():
            for name in ("docker_process_stdout", "docker_process_stderr"):
                short[name] = (getattr(failure, name) or "")[-MOST_OUTPUT:] or None
    return StatusMetadata.of_failure(failure.model_copy(update=short))

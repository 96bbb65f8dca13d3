"""What a miner's words mean for a job that it runs."""

from collections.abc import Mapping

from compute_horde_common.jobs.failures import (
    Failure,
    HordeFailure,
    HordeFailureReason,
    JobFailureReason,
    Participant,
    Rejection,
)
from compute_horde_common.protocol.facilitator_validator import StatusMetadata, StreamingServer
from compute_horde_common.protocol.validator_miner import (
    AcceptJob,
    DeclineJob,
    ExecutionDone,
    ExecutorReady,
    HordeFailed,
    JobFailedReport,
    JobFinished,
    LegacyExecutorFailed,
    LegacyStreamingNotReady,
    StreamingReady,
    UnauthorizedError,
    VolumesReady,
)
from validator.domain.phases import Phase

Answer = AcceptJob | ExecutorReady | VolumesReady | StreamingReady | ExecutionDone | JobFinished
Bad = (
    DeclineJob
    | JobFailedReport
    | HordeFailed
    | LegacyExecutorFailed
    | LegacyStreamingNotReady
    | UnauthorizedError
)

ANSWERED: Mapping[type[Answer], Phase] = {
    AcceptJob: Phase.RESERVATION,
    ExecutorReady: Phase.READINESS,
    VolumesReady: Phase.VOLUMES,
    StreamingReady: Phase.STREAMING,
    ExecutionDone: Phase.EXECUTION,
    JobFinished: Phase.FINAL,
}
"""The phase that each answer ends."""


def metadata_of(answer: Answer) -> StatusMetadata | None:
    """What is reported beside the status that an answer brings a job to."""
    if not isinstance(answer, StreamingReady):
        return None
    return StatusMetadata(
        streaming_details=StreamingServer(
            streaming_server_cert=answer.public_key,
            streaming_server_address=answer.ip,
            streaming_server_port=answer.port,
        )
    )


def reported(message: Bad, *, cancelled: bool) -> Failure:
    """The failure that a miner reports. A job that only the miner says was cancelled is failed by
    that miner."""
    match message:
        case DeclineJob():
            return Rejection(
                rejected_by=Participant.MINER,
                reason=message.reason,
                message=message.message,
                context=message.context,
            )
        case JobFailedReport() if message.reason == JobFailureReason.CANCELLED and not cancelled:
            return confused("it reports as cancelled what nobody cancelled")
        case JobFailedReport() | HordeFailed():
            return message.failure()
        case LegacyExecutorFailed():
            return HordeFailure(
                reported_by=Participant.MINER,
                reason=HordeFailureReason.GENERIC_ERROR,
                message="the executor failed",
            )
        case LegacyStreamingNotReady():
            return HordeFailure(
                reported_by=Participant.MINER,
                reason=HordeFailureReason.STREAMING_FAILED,
                message="the job did not start to stream",
            )
        case UnauthorizedError():
            return unreachable(f"the miner does not let us in: {message.code}")


def confused(message: str) -> HordeFailure:
    """The failure of a job whose miner says what makes no sense."""
    return HordeFailure(
        reported_by=Participant.VALIDATOR,
        reason=HordeFailureReason.GENERIC_ERROR,
        message=f"the miner does not keep to the protocol: {message}",
    )


def unreachable(message: str) -> HordeFailure:
    """The failure of a job that its miner could not be asked to run."""
    return HordeFailure(
        reported_by=Participant.VALIDATOR,
        reason=HordeFailureReason.MINER_CONNECTION_FAILED,
        message=message,
    )

"""How a job goes wrong, and whose fault it is.

Every failure is exactly one of three: a `Rejection` (nobody took the job), a `JobFailure` (the
job itself went wrong; its author can do something about it) or a `HordeFailure` (the network's
fault). Reasons are open sets: one that we do not know keeps its text.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict

from compute_horde_common.jobs.lifecycle import JobStatus
from compute_horde_common.python310 import StrEnum


class Participant(StrEnum):
    """Who reports something."""

    SDK = "sdk"
    FACILITATOR = "facilitator"
    VALIDATOR = "validator"
    MINER = "miner"
    EXECUTOR = "executor"
    UNKNOWN = "unknown"


class Stage(StrEnum):
    """Where in its run a job was when it failed."""

    EXECUTOR_STARTUP = "executor_startup"
    VOLUME_DOWNLOAD = "volume_download"
    STREAMING_STARTUP = "streaming_startup"
    EXECUTION = "execution"
    RESULT_UPLOAD = "result_upload"
    UNKNOWN = "unknown"


class RejectionReason(StrEnum):
    """Why nobody took a job."""

    BUSY = "busy"
    INVALID_SIGNATURE = "invalid_signature"
    NO_MINER_FOR_JOB = "no_miner_for_job"
    VALIDATOR_BLACKLISTED = "validator_blacklisted"
    INVALID_RECEIPT = "invalid_receipt"
    UNKNOWN = "unknown"


class JobFailureReason(StrEnum):
    """What went wrong in the job itself."""

    TIMEOUT = "timeout"
    NONZERO_RETURN_CODE = "nonzero_return_code"
    DOWNLOAD_FAILED = "download_failed"
    UPLOAD_FAILED = "upload_failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


class HordeFailureReason(StrEnum):
    """What went wrong in the network."""

    GENERIC_ERROR = "generic_error"
    UNHANDLED_EXCEPTION = "unhandled_exception"
    UNHANDLED_TIMEOUT = "unhandled_timeout"
    STREAMING_FAILED = "streaming_failed"
    MINER_CONNECTION_FAILED = "miner_connection_failed"
    INITIAL_RESPONSE_TIMED_OUT = "initial_response_timed_out"
    EXECUTOR_READINESS_RESPONSE_TIMED_OUT = "executor_readiness_response_timed_out"
    VOLUMES_TIMED_OUT = "volumes_timed_out"
    STREAMING_JOB_READY_TIMED_OUT = "streaming_job_ready_timed_out"
    EXECUTION_TIMED_OUT = "execution_timed_out"
    FINAL_RESPONSE_TIMED_OUT = "final_response_timed_out"
    EXECUTOR_SPINUP_FAILED = "executor_spinup_failed"
    EXECUTOR_DISCONNECTED = "executor_disconnected"
    SECURITY_CHECK_FAILED = "security_check_failed"
    UNKNOWN = "unknown"


class _Failure(BaseModel):
    # Members and their order are the wire's (status metadata); unknown members are kept out.
    model_config = ConfigDict(frozen=True, extra="ignore")


class Rejection(_Failure):
    """Nobody took the job."""

    rejected_by: Participant | str
    reason: RejectionReason | str
    message: str
    context: dict[str, Any] | None = None

    @property
    def status(self) -> JobStatus:
        """The status that a job ends in."""
        return JobStatus.REJECTED


class JobFailure(_Failure):
    """The job went wrong. Output is what the container wrote until then, head and tail."""

    reason: JobFailureReason | str
    stage: Stage | str
    message: str
    context: dict[str, Any] | None = None
    docker_process_exit_status: int | None = None
    docker_process_stdout: str | None = None
    docker_process_stderr: str | None = None

    @property
    def status(self) -> JobStatus:
        """The status that a job ends in."""
        return JobStatus.FAILED


class HordeFailure(_Failure):
    """The network failed the job."""

    reported_by: Participant | str
    reason: HordeFailureReason | str
    message: str
    context: dict[str, Any] | None = None

    @property
    def status(self) -> JobStatus:
        """The status that a job ends in."""
        return JobStatus.HORDE_FAILED


Failure = Rejection | JobFailure | HordeFailure


class JobFailed(Exception):
    """A job ended other than well; ``failure`` says how."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.status}: {failure.reason}: {failure.message}")
        self.failure = failure

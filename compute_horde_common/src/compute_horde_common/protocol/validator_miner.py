"""Validator and miner, in the order in which they speak. The validator dials
``/v0.1/validator_interface/{validator's hotkey}``, one socket for each job.

A job that goes well::

    validator  Authenticate, OfferJob (without waiting)
    miner      Manifest, AcceptJob
    validator  AcceptedReceipt
    miner      ExecutorReady
    validator  StartJob
    miner      VolumesReady, [StreamingReady], ExecutionDone, [MachineSpecs], JobFinished
    validator  FinishedReceipt, and closes

Between StartJob and the end, where the two chose `live.JOB_CONTROL`: JobLog and JobProgress from
the miner, CancelJob from the validator.
"""

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from compute_horde_common.jobs.executor_classes import ExecutorClassName
from compute_horde_common.jobs.failures import (
    HordeFailure,
    HordeFailureReason,
    JobFailure,
    JobFailureReason,
    Participant,
    RejectionReason,
    Stage,
)
from compute_horde_common.jobs.spec import StreamingDetails
from compute_horde_common.jobs.timing import Limits
from compute_horde_common.jobs.uploads import OutputUpload
from compute_horde_common.jobs.volumes import Volume
from compute_horde_common.protocol.base import Message
from compute_horde_common.protocol.live import CancelJob, JobLog, JobProgress
from compute_horde_common.protocol.receipts import (
    CanonicalUuid,
    JobAcceptedReceiptPayload,
    JobFinishedReceiptPayload,
    JobStartedReceiptPayload,
    Receipt,
)

MAX_FRAME = 50 << 20
AUTH_WINDOW_SECONDS = 10
TRUSTED_MINER_HOTKEY = "0" * 48
"""Stands for the trusted miner, which has no hotkey on chain."""


class Authenticate(Message):
    """Validator to miner, first: the signature of `authentication_text`, made just now."""

    message_type: Literal["ValidatorAuthForMiner"] = "ValidatorAuthForMiner"
    validator_hotkey: str
    miner_hotkey: str
    timestamp: int
    signature: str


def authentication_text(validator_hotkey: str, miner_hotkey: str, timestamp: int) -> str:
    """What a validator signs to be let in; ``timestamp`` in Unix seconds."""
    return f"{validator_hotkey}:{miner_hotkey}:{timestamp}"


class Manifest(Message):
    """Miner to validator, after authentication: how many executors of each class it offers.
    Classes that we do not know are kept; who reads it takes those that it needs."""

    message_type: Literal["V0ExecutorManifestRequest"] = "V0ExecutorManifestRequest"
    manifest: dict[str, Annotated[int, Field(ge=0)]]


class ExecutorTiming(BaseModel):
    """A job's limits in whole seconds, as they travel."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    allowed_leeway: int
    download_time_limit: int
    execution_time_limit: int
    upload_time_limit: int
    streaming_start_time_limit: int

    @classmethod
    def of(cls, limits: Limits) -> "ExecutorTiming":
        """The wire form of limits."""
        return cls(
            allowed_leeway=limits.leeway,
            download_time_limit=limits.download,
            execution_time_limit=limits.execution,
            upload_time_limit=limits.upload,
            streaming_start_time_limit=limits.streaming_start,
        )

    def limits(self) -> Limits:
        """The limits; pydantic's ``ValidationError`` if they are out of bounds."""
        return Limits(
            leeway=self.allowed_leeway,
            download=self.download_time_limit,
            execution=self.execution_time_limit,
            upload=self.upload_time_limit,
            streaming_start=self.streaming_start_time_limit,
        )


class OfferJob(Message):
    """Validator to miner: will you run a job of this class? Carries the started receipt.
    The miner passes it on to the executor, with ``executor_ip`` filled in."""

    validator_signature: str | None = None
    message_type: Literal["V0InitialJobRequest"] = "V0InitialJobRequest"
    job_uuid: CanonicalUuid
    executor_class: ExecutorClassName
    docker_image: str | None = None
    timeout_seconds: int | None = None
    volume: Volume | None = None
    job_started_receipt_payload: JobStartedReceiptPayload
    job_started_receipt_signature: str
    streaming_details: StreamingDetails | None = None
    executor_timing: ExecutorTiming | None = None


class AcceptJob(Message):
    """Miner to validator: an executor is reserved; it is not up yet."""

    message_type: Literal["V0AcceptJobRequest"] = "V0AcceptJobRequest"
    job_uuid: str


class DeclineJob(Message):
    """Miner to validator: no. A busy miner shows the receipts of the jobs that keep it busy."""

    message_type: Literal["V0DeclineJobRequest"] = "V0DeclineJobRequest"
    job_uuid: str
    message: str = ""
    reason: RejectionReason | str = RejectionReason.UNKNOWN
    receipts: list[Receipt] = []
    context: dict[str, Any] | None = None


class AcceptedReceipt(Message):
    """Validator to miner, after `AcceptJob`."""

    message_type: Literal["V0JobAcceptedReceiptRequest"] = "V0JobAcceptedReceiptRequest"
    payload: JobAcceptedReceiptPayload
    signature: str


class ExecutorReady(Message):
    """Executor to miner to validator: give me the job."""

    message_type: Literal["V0ExecutorReadyRequest"] = "V0ExecutorReadyRequest"
    job_uuid: str
    executor_token: str | None = None


class StartJob(Message):
    """Validator to miner to executor: the job itself."""

    validator_signature: str | None = None
    message_type: Literal["V0JobRequest"] = "V0JobRequest"
    job_uuid: CanonicalUuid
    executor_class: ExecutorClassName
    docker_image: str
    raw_script: str | None = None
    docker_run_options_preset: Literal["nvidia_all", "none"]
    docker_run_cmd: list[str]
    env: dict[str, str] = {}
    volume: Volume | None = None
    output_upload: OutputUpload | None = None
    artifacts_dir: str | None = None


class VolumesReady(Message):
    """Executor to miner to validator: inputs are in place, also when there are none."""

    message_type: Literal["V0VolumesReadyRequest"] = "V0VolumesReadyRequest"
    job_uuid: str


class StreamingReady(Message):
    """Executor to miner to validator: clients may connect. The miner adds address and signature."""

    message_type: Literal["V0StreamingJobReadyRequest"] = "V0StreamingJobReadyRequest"
    job_uuid: str
    executor_token: str | None = None
    public_key: str
    ip: str | None = None
    port: int
    miner_signature: str | None = None


class ExecutionDone(Message):
    """Executor to miner to validator: the container exited with 0."""

    message_type: Literal["V0ExecutionDoneRequest"] = "V0ExecutionDoneRequest"
    job_uuid: str


class MachineSpecs(Message):
    """Executor to miner to validator: what the machine says of itself."""

    message_type: Literal["V0MachineSpecsRequest"] = "V0MachineSpecsRequest"
    job_uuid: str
    specs: dict[str, Any]


class JobFinished(Message):
    """Executor to miner to validator: all went well. Artifacts are base64, by path."""

    message_type: Literal["V0JobFinishedRequest"] = "V0JobFinishedRequest"
    job_uuid: str
    docker_process_stdout: str
    docker_process_stderr: str
    artifacts: dict[str, str] | None = None
    upload_results: dict[str, str] | None = None


class JobFailedReport(Message):
    """Executor to miner to validator: the job went wrong."""

    message_type: Literal["V0JobFailedRequest"] = "V0JobFailedRequest"
    job_uuid: str
    message: str = Field(default="", validation_alias=AliasChoices("message", "error_detail"))
    reason: JobFailureReason | str = Field(
        default=JobFailureReason.UNKNOWN, validation_alias=AliasChoices("reason", "error_type")
    )
    stage: Stage | str = Stage.UNKNOWN
    docker_process_exit_status: int | None = None
    docker_process_stdout: str | None = None
    docker_process_stderr: str | None = None
    context: dict[str, Any] | None = None

    @classmethod
    def of(cls, job_uuid: str, failure: JobFailure) -> "JobFailedReport":
        """The report of a failure."""
        return cls(job_uuid=job_uuid, **failure.model_dump())

    def failure(self) -> JobFailure:
        """What is reported."""
        return JobFailure.model_validate(self.model_dump())


class HordeFailed(Message):
    """Executor or miner to validator: the network's fault."""

    message_type: Literal["V0HordeFailedRequest"] = "V0HordeFailedRequest"
    job_uuid: str
    reported_by: Participant | str
    message: str
    reason: HordeFailureReason | str
    context: dict[str, Any] | None = None

    @classmethod
    def of(cls, job_uuid: str, failure: HordeFailure) -> "HordeFailed":
        """The report of a failure."""
        return cls(job_uuid=job_uuid, **failure.model_dump())

    def failure(self) -> HordeFailure:
        """What is reported."""
        return HordeFailure.model_validate(self.model_dump())


class FinishedReceipt(Message):
    """Validator to miner, on every ending: what the job was worth. The miner may forget the job."""

    message_type: Literal["V0JobFinishedReceiptRequest"] = "V0JobFinishedReceiptRequest"
    payload: JobFinishedReceiptPayload
    signature: str


class MainHotkey(Message):
    """Both ways: which hotkey is the coldkey's main one? Null when asking."""

    message_type: Literal["V0MainHotkeyMessage"] = "V0MainHotkeyMessage"
    main_hotkey: str | None = None


class GenericError(Message):
    """Both ways: that frame was not understood. It ends nothing."""

    message_type: Literal["GenericError"] = "GenericError"
    details: str | None = None


class UnauthorizedError(Message):
    """Miner to validator: you are not let in."""

    message_type: Literal["UnauthorizedError"] = "UnauthorizedError"
    code: Literal["TOKEN_TOO_OLD", "UNKNOWN_VALIDATOR", "VALIDATOR_INACTIVE"]
    details: str | None = None


class LegacyExecutorFailed(Message):
    """From old executors, in place of `HordeFailed`."""

    message_type: Literal["V0ExecutorFailedRequest"] = "V0ExecutorFailedRequest"
    job_uuid: str
    executor_token: str | None = None


class LegacyStreamingNotReady(Message):
    """From old executors, in place of a failure."""

    message_type: Literal["V0StreamingJobNotReadyRequest"] = "V0StreamingJobNotReadyRequest"
    job_uuid: str
    executor_token: str | None = None


def streaming_text(job_uuid: str, ip: str, port: int, public_key: str) -> str:
    """What a miner signs about a streaming job's address."""
    return f"{job_uuid}:{ip}:{port}:{public_key}"


ValidatorToMiner = Annotated[
    Authenticate
    | OfferJob
    | AcceptedReceipt
    | StartJob
    | CancelJob
    | FinishedReceipt
    | MainHotkey
    | GenericError,
    Field(discriminator="message_type"),
]
MinerToValidator = Annotated[
    Manifest
    | AcceptJob
    | DeclineJob
    | ExecutorReady
    | VolumesReady
    | StreamingReady
    | ExecutionDone
    | MachineSpecs
    | JobLog
    | JobProgress
    | JobFinished
    | JobFailedReport
    | HordeFailed
    | MainHotkey
    | UnauthorizedError
    | GenericError
    | LegacyExecutorFailed
    | LegacyStreamingNotReady,
    Field(discriminator="message_type"),
]

"""Facilitator and validator, in the order in which they speak. The validator dials ``/ws/v0/``.

Authentication: a validator offers the subprotocol `CHALLENGE_FEATURE` in its handshake; a
facilitator that knows the challenge chooses it, and speaks first. `live.JOB_CONTROL`, where both
know it, stands for the challenge and for cancellation, output and progress. Towards any other peer
the live network's static form is used. (Daphne answers a handshake with no other header of ours.)
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from compute_horde_common.jobs import uploads, volumes
from compute_horde_common.jobs.executor_classes import ExecutorClassName
from compute_horde_common.jobs.failures import HordeFailure, JobFailure, Rejection
from compute_horde_common.jobs.lifecycle import JobStatus
from compute_horde_common.jobs.spec import JobSpec, StageLimit, StreamingDetails
from compute_horde_common.jobs.uploads import OutputUpload, SingleFileUpload
from compute_horde_common.jobs.volumes import SimpleVolume, Volume
from compute_horde_common.protocol.base import Message
from compute_horde_common.protocol.live import CancelJob, JobLog, JobProgress
from compute_horde_common.protocol.signatures import Signature

CHALLENGE_FEATURE = "compute-horde.challenge-auth"
HEARTBEAT_SECONDS = 60
CONNECTED_SECONDS = 180
"""A validator whose last heartbeat is older counts as not connected."""
MAX_FRAME_TO_VALIDATOR = 1 << 20
"""The published validator drops its link on a larger frame, so larger jobs are refused."""
MAX_FRAME_TO_FACILITATOR = 16 << 20
CLOSE_BAD_SIGNATURE = 3000
CLOSE_NOT_A_VALIDATOR = 3001


class _Strict(Message):
    # The published peers refuse members that they do not know in these messages.
    model_config = ConfigDict(frozen=True, extra="forbid")


class AuthChallenge(Message):
    """Facilitator to validator, first: sign `challenge_text` of this nonce."""

    message_type: Literal["V1AuthenticationChallenge"] = "V1AuthenticationChallenge"
    nonce: str = Field(min_length=16, max_length=256)


class ChallengeAuthentication(Message):
    """Validator to facilitator, in answer to `AuthChallenge`."""

    message_type: Literal["V1AuthenticationRequest"] = "V1AuthenticationRequest"
    hotkey: str
    nonce: str
    signature: str


class StaticAuthentication(_Strict):
    """Validator to facilitator, first, in the live network's form: the hotkey's signature of its
    own public key. It can be replayed for ever, hence the challenge."""

    message_type: Literal["V0AuthenticationRequest"] = "V0AuthenticationRequest"
    public_key: str
    signature: str


class ResponseError(BaseModel):
    """One thing that was wrong with a frame. ``type`` is for programs, the rest for people."""

    model_config = ConfigDict(frozen=True, extra="allow")

    msg: str
    type: str
    help: str = ""


class Response(_Strict):
    """Facilitator to validator: one for each authentication and each status update, in order.
    It has no message type."""

    status: Literal["success", "error"]
    errors: list[ResponseError] = []

    @classmethod
    def ok(cls) -> "Response":
        """The answer to a frame that was taken."""
        return cls(status="success")

    @classmethod
    def refusal(cls, kind: str, msg: str, help_: str = "") -> "Response":
        """The answer to a frame that was not."""
        return cls(status="error", errors=[ResponseError(msg=msg, type=kind, help=help_)])


class Heartbeat(_Strict):
    """Validator to facilitator, every `HEARTBEAT_SECONDS`. It gets no answer."""

    message_type: Literal["V0Heartbeat"] = "V0Heartbeat"


class JobRequest(_Strict):
    """Facilitator to validator: a user's job. It may come more than once; same ``uuid``, same
    job. The signature covers the members of `JobSpec`."""

    signature: Signature | None = None
    type: Literal["job.new"] = "job.new"
    message_type: Literal["V2JobRequest"] = "V2JobRequest"
    uuid: str
    job_namespace: str | None = None
    executor_class: ExecutorClassName
    docker_image: str
    args: list[str]
    env: dict[str, str]
    use_gpu: bool = True
    volume: Volume | None = None
    output_upload: OutputUpload | None = None
    artifacts_dir: str | None = None
    on_trusted_miner: bool = False
    download_time_limit: StageLimit
    execution_time_limit: StageLimit
    upload_time_limit: StageLimit
    streaming_start_time_limit: StageLimit
    streaming_details: StreamingDetails | None = None

    @classmethod
    def of(
        cls, uuid: str, spec: JobSpec, signature: Signature, namespace: str | None
    ) -> "JobRequest":
        """The request that carries a spec."""
        fields = spec.model_dump(exclude={"volumes", "uploads", "artifacts_dir"})
        return cls.model_validate(
            {
                **fields,
                "uuid": uuid,
                "signature": signature,
                "job_namespace": namespace,
                "volume": volumes.combined(spec.volumes),
                "output_upload": uploads.combined(spec.uploads),
                "artifacts_dir": spec.artifacts_dir or None,
            }
        )

    def spec(self) -> JobSpec:
        """What the author of the job signed.

        Raises:
            pydantic.ValidationError: the job breaks the rules of `JobSpec`.
        """
        fields = self.model_dump(exclude={"volume", "output_upload"})
        simple_volumes: list[SimpleVolume] = volumes.separate(self.volume)
        single_files: list[SingleFileUpload] = uploads.separate(self.output_upload)
        return JobSpec.model_validate(
            {**fields, "volumes": simple_volumes, "uploads": single_files}
        )


class MinerResponse(BaseModel):
    """What a completed job left: output, small files (base64) and answers to uploads (JSON)."""

    model_config = ConfigDict(frozen=True, extra="allow")

    docker_process_stderr: str
    docker_process_stdout: str
    artifacts: dict[str, str] | None = None
    upload_results: dict[str, str] | None = None


class StreamingServer(_Strict):
    """Where a streaming job can be reached, and the certificate (PEM) that it shows."""

    streaming_server_cert: str | None = None
    streaming_server_address: str | None = None
    streaming_server_port: int | None = None


class StatusMetadata(BaseModel):
    """What there is to say about a status; at most one member is set."""

    model_config = ConfigDict(frozen=True, extra="allow")

    miner_response: MinerResponse | None = None
    job_rejection_details: Rejection | None = None
    job_failure_details: JobFailure | None = None
    horde_failure_details: HordeFailure | None = None
    streaming_details: StreamingServer | None = None

    @classmethod
    def of_failure(cls, failure: Rejection | JobFailure | HordeFailure) -> "StatusMetadata":
        """The metadata of the status that a failure ends in."""
        match failure:
            case Rejection():
                return cls(job_rejection_details=failure)
            case JobFailure():
                return cls(job_failure_details=failure)
            case HordeFailure():
                return cls(horde_failure_details=failure)


class StatusUpdate(_Strict):
    """Validator to facilitator: where a job is now. Each status at most once for a job."""

    message_type: Literal["V0JobStatusUpdate"] = "V0JobStatusUpdate"
    uuid: str
    status: JobStatus
    metadata: StatusMetadata | None = None


class MachineSpecsUpdate(_Strict):
    """Validator to facilitator: what a miner's machine says of itself. It gets no answer."""

    message_type: Literal["V0MachineSpecsUpdate"] = "V0MachineSpecsUpdate"
    miner_hotkey: str
    validator_hotkey: str
    specs: dict[str, Any]
    batch_id: str


class CheatedJob(_Strict):
    """Facilitator to validator: its author says that the miner cheated on a job."""

    signature: Signature | None = None
    type: Literal["job.cheated"] = "job.cheated"
    message_type: Literal["V0JobCheated"] = "V0JobCheated"
    job_uuid: str
    trusted_job_uuid: str
    details: Any = None


def challenge_text(hotkey: str, nonce: str) -> str:
    """What a validator signs in answer to a challenge."""
    return f"compute-horde:facilitator-auth:{hotkey}:{nonce}"


ValidatorToFacilitator = Annotated[
    StaticAuthentication
    | ChallengeAuthentication
    | Heartbeat
    | StatusUpdate
    | MachineSpecsUpdate
    | JobLog
    | JobProgress,
    Field(discriminator="message_type"),
]
FacilitatorToValidator = (
    Annotated[
        AuthChallenge | JobRequest | CheatedJob | CancelJob, Field(discriminator="message_type")
    ]
    | Response
)

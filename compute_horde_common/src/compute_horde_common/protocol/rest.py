"""The facilitator's REST bodies, used by facilitator and SDK alike."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from compute_horde_common.jobs.lifecycle import JobStatus
from compute_horde_common.jobs.spec import JobSpec
from compute_horde_common.protocol.facilitator_validator import StatusMetadata
from compute_horde_common.protocol.signatures import BadSignature, Signature

LEGACY_TOKEN_EXPIRED = "Token expired."  # noqa: S105 - the text that clients look for, no secret
MAX_BODY_BYTES = 2_621_440
NONCE_SECONDS = 300
TOKEN_SECONDS = 3600


class Nonce(BaseModel):
    """Answer of ``GET /auth/nonce``: sign this text."""

    nonce: str


class Login(BaseModel):
    """Body of ``POST /auth/login``; ``signature`` is hex without ``0x``, over the nonce's text."""

    hotkey: str
    signature: str
    nonce: str


class Token(BaseModel):
    """Answer of ``POST /auth/login``: send it as ``Authorization: Bearer``."""

    token: str


class JobCreate(JobSpec):
    """Body of ``POST /api/v1/job-docker/``: a spec, and what its signature does not cover."""

    target_validator_hotkey: str = Field(min_length=1, max_length=64)
    job_namespace: Annotated[str, Field(max_length=100)] | None = None
    tag: str = Field(default="", max_length=255)

    def spec(self) -> JobSpec:
        """The signed part."""
        return JobSpec.model_validate(self.model_dump())


class StatusEntry(BaseModel):
    """One line of a job's history."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    status: JobStatus
    metadata: StatusMetadata | None = None
    created_at: datetime


class ProgressView(BaseModel):
    """How far a job says it is, in percent, and when it said so."""

    percent: float
    text: str
    at: datetime


class JobView(BaseModel):
    """A job as the API shows it. ``status`` is the label that old clients read."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    uuid: str
    executor_class: str
    created_at: datetime
    last_update: datetime | None = None
    status: str = ""
    docker_image: str
    job_namespace: str | None = None
    args: list[str]
    env: dict[str, str]
    use_gpu: bool = False
    tag: str = ""
    stdout: str
    stderr: str
    volumes: list[dict[str, Any]] = []
    uploads: list[dict[str, Any]] = []
    artifacts: dict[str, str] = {}
    artifacts_dir: str = ""
    target_validator_hotkey: str = ""
    on_trusted_miner: bool = False
    upload_results: dict[str, str] = {}
    download_time_limit: int = 0
    execution_time_limit: int = 0
    streaming_start_time_limit: int = 0
    upload_time_limit: int = 0
    streaming_client_cert: str = ""
    streaming_server_cert: str | None = ""
    streaming_server_address: str | None = ""
    streaming_server_port: int | None = 0
    cancel_requested_at: datetime | None = None
    progress: ProgressView | None = None
    status_history: list[StatusEntry]


class LogPieceView(BaseModel):
    """A piece of a job's output; ``dropped`` bytes are missing just before it."""

    number: int
    stream: Literal["stdout", "stderr"]
    text: str
    dropped: int
    created_at: datetime


class LogPage(BaseModel):
    """Answer of ``GET /api/v1/jobs/{uuid}/logs/``; there is no next page when ``ended``."""

    pieces: list[LogPieceView]
    next_offset: int
    ended: bool


class JobPage(BaseModel):
    """Answer of ``GET /api/v1/jobs/``; ``next`` and ``previous`` are URLs."""

    count: int
    next: str | None = None
    previous: str | None = None
    results: list[JobView]


class CheatReport(BaseModel):
    """Body of ``POST /api/v1/cheated-job/``; ``details`` is any JSON."""

    job_uuid: UUID
    trusted_job_uuid: UUID
    details: Any = None


SIGNATURE_HEADERS = (
    "X-CH-Signature-Type",
    "X-CH-Signatory",
    "X-CH-Timestamp-NS",
    "X-CH-Signature",
    "X-CH-Signature-Scope",
)


def signature_headers(signature: Signature) -> dict[str, str]:
    """The headers that carry a signature."""
    values = (
        signature.signature_type,
        signature.signatory,
        str(signature.timestamp_ns),
        signature.signature,
        signature.signature_scope,
    )
    return dict(zip(SIGNATURE_HEADERS, values, strict=True))


def signature_from_headers(headers: dict[str, str]) -> Signature:
    """The signature in a request's headers (names in any case).

    Raises:
        BadSignature: a header is missing or malformed; the text names it.
    """
    found = {name.lower(): value for name, value in headers.items()}
    for name in SIGNATURE_HEADERS[:4]:
        if not found.get(name.lower()):
            raise BadSignature(f"the request is not signed: header {name} is missing")
    scope = found.get("x-ch-signature-scope") or "SignedFields"
    if scope not in {"SignedFields", "FullRequest"}:
        raise BadSignature("header X-CH-Signature-Scope must be SignedFields or FullRequest")
    timestamp = found["x-ch-timestamp-ns"]
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 20):  # noqa: PLR2004 - digits of 2**64
        raise BadSignature("header X-CH-Timestamp-NS must be Unix time in nanoseconds")
    signature = Signature(
        signature_type=found["x-ch-signature-type"],
        signatory=found["x-ch-signatory"],
        timestamp_ns=int(timestamp),
        signature=found["x-ch-signature"],
        signature_scope="FullRequest" if scope == "FullRequest" else "SignedFields",
    )
    signature.raw()
    return signature

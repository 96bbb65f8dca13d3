"""What there is to know about a job, as users see it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import BaseModel
from typing_extensions import override

from compute_horde_common.python310 import StrEnum

OUTPUT_PREFIX = "/output/"


class StatusText(str):
    """A status as it is printed. It equals the status, and its text in any case."""

    __slots__ = ()

    @override
    def __eq__(self, other: object) -> bool:
        return _plain(other) == _plain(self) if isinstance(other, str) else NotImplemented

    @override
    def __ne__(self, other: object) -> bool:
        return not self == other

    @override
    def __hash__(self) -> int:
        return hash(_plain(self))

    @override
    def lower(self) -> str:
        return _plain(self)


def _plain(text: str) -> str:
    return str.lower(text).replace(" ", "_")


class ComputeHordeJobStatus(StrEnum):
    """Where a job is.

    A member's ``value`` is what is stored and sent (``completed``); printed it is ``Completed``.
    It equals both, in any case. In sets and as the key of a dict, use members or lower-case text.
    """

    SENT = "sent"
    RECEIVED = "received"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    STREAMING_READY = "streaming_ready"
    EXECUTOR_READY = "executor_ready"
    VOLUMES_READY = "volumes_ready"
    EXECUTION_DONE = "execution_done"
    COMPLETED = "completed"
    FAILED = "failed"
    HORDE_FAILED = "horde_failed"

    @override
    def __str__(self) -> str:
        return StatusText(self.value.replace("_", " ").title())

    @override
    def __format__(self, specification: str) -> str:
        return format(str(self), specification) if specification else str(self)

    @override
    def __eq__(self, other: object) -> bool:
        return _plain(other) == self.value if isinstance(other, str) else NotImplemented

    @override
    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__

    @classmethod
    @override
    def _missing_(cls, value: object) -> "ComputeHordeJobStatus | None":
        plain = _plain(value) if isinstance(value, str) else value
        return next((member for member in cls if member.value == plain), None)

    @classmethod
    def end_states(cls) -> set["ComputeHordeJobStatus"]:
        """The statuses after which nothing follows."""
        return {cls.COMPLETED, cls.REJECTED, cls.FAILED, cls.HORDE_FAILED}

    def is_in_progress(self) -> bool:
        """Whether the job has not ended."""
        return self not in self.end_states()

    def is_successful(self) -> bool:
        """Whether the job ended well."""
        return self is ComputeHordeJobStatus.COMPLETED

    def is_streaming_ready(self) -> bool:
        """Whether the job's own server can be reached, and nothing has happened since."""
        return self is ComputeHordeJobStatus.STREAMING_READY

    def is_failed(self) -> bool:
        """Whether the job ended, and not well."""
        return not self.is_in_progress() and not self.is_successful()


class HttpOutputVolumeResponse(BaseModel):
    """What the server answered to which an output file was sent."""

    headers: dict[str, str]
    body: str


@dataclass
class ComputeHordeJobResult:
    """What a job left behind.

    ``artifacts`` maps paths in the container to contents; ``upload_results`` maps paths below
    ``/output/`` to the answers of the servers that the files were sent to.
    """

    stdout: str
    stderr: str
    artifacts: dict[str, bytes]
    upload_results: dict[str, HttpOutputVolumeResponse] = field(default_factory=dict)

    def add_upload_result(self, path: str, response: HttpOutputVolumeResponse) -> None:
        """Notes the answer to the upload of a file; ``path`` is relative to ``/output/``."""
        self.upload_results[OUTPUT_PREFIX + path] = response


@dataclass
class ComputeHordeJobRejection:
    """Nobody took the job."""

    reason: str
    message: str
    context: dict[str, Any] | None = None
    rejected_by: str | None = None


@dataclass
class ComputeHordeJobFailure:
    """The job itself went wrong, or its author cancelled it (``reason`` is ``cancelled``).

    ``stage`` is where: ``executor_startup``, ``volume_download``, ``streaming_startup``,
    ``execution`` or ``result_upload``. ``exit_status``, ``stdout`` and ``stderr`` are the
    container's, ``None`` where it did not get that far.
    """

    reason: str
    message: str
    context: dict[str, Any] | None = None
    stage: str | None = None
    exit_status: int | None = None
    stdout: str | None = None
    stderr: str | None = None


@dataclass
class ComputeHordeHordeFailure:
    """The network failed the job. The same job may well succeed when it is sent again."""

    reason: str
    message: str
    reported_by: str
    context: dict[str, Any] | None = None


Failure = ComputeHordeHordeFailure | ComputeHordeJobFailure | ComputeHordeJobRejection


@dataclass
class StreamingServerDetails:
    """Where a streaming job can be reached, and the certificate (PEM) that it shows."""

    streaming_server_cert: str | None = None
    streaming_server_address: str | None = None
    streaming_server_port: int | None = None


@dataclass
class JobStatusUpdateMetadata:
    """What there is to say about a status; at most one member is set."""

    job_rejection_details: ComputeHordeJobRejection | None = None
    job_failure_details: ComputeHordeJobFailure | None = None
    horde_failure_details: ComputeHordeHordeFailure | None = None
    streaming_details: StreamingServerDetails | None = None

    @property
    def failure(self) -> Failure | None:
        """Whichever failure there is."""
        return self.horde_failure_details or self.job_failure_details or self.job_rejection_details


@dataclass
class ComputeHordeJobStatusEntry:
    """One line of a job's history."""

    created_at: datetime
    status: ComputeHordeJobStatus
    metadata: JobStatusUpdateMetadata | None = None


@dataclass
class ComputeHordeJobProgress:
    """How far a job said that it is: ``percent`` from 0 to 100, a few words, and when."""

    percent: float
    text: str
    at: datetime


@dataclass(frozen=True)
class JobFacts:
    """What the facilitator knows of a job beside its course; ``None`` where it does not say."""

    created_at: datetime | None = None
    executor_class: str | None = None
    docker_image: str | None = None
    job_namespace: str | None = None
    args: Sequence[str] | None = None
    env: Mapping[str, str] | None = None
    on_trusted_miner: bool | None = None
    progress: ComputeHordeJobProgress | None = None
    cancel_requested_at: datetime | None = None
    artifacts_dir: str | None = None
    limits: Mapping[str, int] | None = None
    inputs: Sequence[Mapping[str, Any]] | None = None
    outputs: Sequence[Mapping[str, Any]] | None = None


@dataclass
class ComputeHordeLogPiece:
    """A piece of what a job wrote to ``stream`` (``stdout`` or ``stderr``).

    Pieces of a job are numbered from 0, in the order in which they were read. ``dropped`` is how
    many bytes are missing just before this one, because the job wrote too much.
    """

    number: int
    stream: str
    text: str
    dropped: int
    created_at: datetime


@dataclass
class ComputeHordeLogPage:
    """Some pieces of what a job wrote. The next ones start at ``next_offset``; ``ended`` says that
    the job will write no others than those that are there."""

    pieces: list[ComputeHordeLogPiece]
    next_offset: int
    ended: bool

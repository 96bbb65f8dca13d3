"""What the facilitator says about a job, as users see it.

Answers are read leniently: members that we do not need may be absent, unknown ones are ignored.
"""

import base64
import binascii
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from compute_horde_common.python310 import StrEnum

logger = logging.getLogger(__name__)

OUTPUT_PREFIX = "/output/"


class ComputeHordeJobStatus(StrEnum):
    """Where a job is. Members are equal to their lower-case text."""

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


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _RejectionBody(_Body):
    reason: str
    message: str
    context: dict[str, Any] | None = None
    rejected_by: str | None = None

    def value(self) -> ComputeHordeJobRejection:
        return ComputeHordeJobRejection(self.reason, self.message, self.context, self.rejected_by)


class _JobFailureBody(_Body):
    reason: str
    message: str
    context: dict[str, Any] | None = None
    stage: str | None = None
    docker_process_exit_status: int | None = None
    docker_process_stdout: str | None = None
    docker_process_stderr: str | None = None

    def value(self) -> ComputeHordeJobFailure:
        return ComputeHordeJobFailure(
            self.reason,
            self.message,
            self.context,
            stage=self.stage,
            exit_status=self.docker_process_exit_status,
            stdout=self.docker_process_stdout,
            stderr=self.docker_process_stderr,
        )


class _HordeFailureBody(_Body):
    reason: str
    message: str
    reported_by: str = "unknown"
    context: dict[str, Any] | None = None

    def value(self) -> ComputeHordeHordeFailure:
        return ComputeHordeHordeFailure(self.reason, self.message, self.reported_by, self.context)


class _StreamingBody(_Body):
    streaming_server_cert: str | None = None
    streaming_server_address: str | None = None
    streaming_server_port: int | None = None

    def value(self) -> StreamingServerDetails:
        return StreamingServerDetails(
            self.streaming_server_cert, self.streaming_server_address, self.streaming_server_port
        )


class _MetadataBody(_Body):
    job_rejection_details: _RejectionBody | None = None
    job_failure_details: _JobFailureBody | None = None
    horde_failure_details: _HordeFailureBody | None = None
    streaming_details: _StreamingBody | None = None

    def value(self) -> JobStatusUpdateMetadata:
        rejection, failure = self.job_rejection_details, self.job_failure_details
        horde, streaming = self.horde_failure_details, self.streaming_details
        return JobStatusUpdateMetadata(
            job_rejection_details=rejection.value() if rejection else None,
            job_failure_details=failure.value() if failure else None,
            horde_failure_details=horde.value() if horde else None,
            streaming_details=streaming.value() if streaming else None,
        )


class _EntryBody(_Body):
    status: ComputeHordeJobStatus
    created_at: datetime
    metadata: _MetadataBody | None = None

    def value(self) -> ComputeHordeJobStatusEntry:
        metadata = self.metadata.value() if self.metadata else None
        return ComputeHordeJobStatusEntry(self.created_at, self.status, metadata)


class JobBody(_Body):
    """A job as the facilitator describes it, as far as the SDK needs it."""

    uuid: str
    status_history: list[_EntryBody] = Field(min_length=1)
    stdout: str | None = None
    stderr: str | None = None
    artifacts: dict[str, str] | None = None
    upload_results: dict[str, str] | None = None
    streaming_server_cert: str | None = None
    streaming_server_address: str | None = None
    streaming_server_port: int | None = None

    def history(self) -> list[ComputeHordeJobStatusEntry]:
        """All statuses until now, oldest first."""
        return [entry.value() for entry in self.status_history]

    def result(self) -> ComputeHordeJobResult | None:
        """What the job left behind; ``None`` until it has ended."""
        if self.status_history[-1].status.is_in_progress():
            return None
        result = ComputeHordeJobResult(
            self.stdout or "", self.stderr or "", _artifacts(self.artifacts or {}, self.uuid)
        )
        for path, text in (self.upload_results or {}).items():
            try:
                result.add_upload_result(path, HttpOutputVolumeResponse.model_validate_json(text))
            except ValidationError:
                logger.warning("upload result is unreadable and left out of job %s", self.uuid)
        return result


class PageBody(_Body):
    """One page of the list of jobs."""

    next: str | None = None
    results: list[JobBody]


class _PieceBody(_Body):
    number: int
    stream: str
    text: str
    dropped: int = 0
    created_at: datetime

    def value(self) -> ComputeHordeLogPiece:
        return ComputeHordeLogPiece(
            self.number, self.stream, self.text, self.dropped, self.created_at
        )


class LogBody(_Body):
    """One page of what a job wrote."""

    pieces: list[_PieceBody]
    next_offset: int
    ended: bool

    def value(self) -> ComputeHordeLogPage:
        """The page, as users see it."""
        pieces = [piece.value() for piece in self.pieces]
        return ComputeHordeLogPage(pieces, self.next_offset, self.ended)


def _artifacts(encoded: Mapping[str, str], uuid: str) -> dict[str, bytes]:
    # Artifacts come from a miner. One that is no base64 must not hide the rest of the job.
    artifacts = {}
    for path, text in encoded.items():
        try:
            artifacts[path] = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            logger.warning("artifact %s is no base64 and left out of job %s", path, uuid)
    return artifacts

"""The facilitator's answers.

They are read leniently: members that we do not need may be absent, unknown ones are ignored.
"""

import base64
import binascii
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from compute_horde_sdk._internal.errors import ComputeHordeError
from compute_horde_sdk._internal.results import (
    ComputeHordeHordeFailure,
    ComputeHordeJobFailure,
    ComputeHordeJobProgress,
    ComputeHordeJobRejection,
    ComputeHordeJobResult,
    ComputeHordeJobStatus,
    ComputeHordeJobStatusEntry,
    ComputeHordeLogPage,
    ComputeHordeLogPiece,
    HttpOutputVolumeResponse,
    JobFacts,
    JobStatusUpdateMetadata,
    StreamingServerDetails,
)

A = TypeVar("A", bound=BaseModel)

logger = logging.getLogger(__name__)


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


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


class EntryBody(_Body):
    """One line of a job's history."""

    status: ComputeHordeJobStatus
    created_at: datetime
    metadata: _MetadataBody | None = None

    def value(self) -> ComputeHordeJobStatusEntry:
        """The same, as users see it."""
        metadata = self.metadata.value() if self.metadata else None
        return ComputeHordeJobStatusEntry(self.created_at, self.status, metadata)


class ProgressBody(_Body):
    """How far a job is."""

    percent: float
    text: str = ""
    at: datetime

    def value(self) -> ComputeHordeJobProgress:
        """The same, as users see it."""
        return ComputeHordeJobProgress(self.percent, self.text, self.at)


class JobBody(_Body):
    """A job as the facilitator describes it, as far as the SDK needs it."""

    uuid: str
    status_history: list[EntryBody] = Field(min_length=1)
    stdout: str | None = None
    stderr: str | None = None
    artifacts: dict[str, str] | None = None
    upload_results: dict[str, str] | None = None
    streaming_server_cert: str | None = None
    streaming_server_address: str | None = None
    streaming_server_port: int | None = None

    created_at: datetime | None = None
    executor_class: str | None = None
    docker_image: str | None = None
    job_namespace: str | None = None
    args: list[str] | None = None
    env: dict[str, str] | None = None
    on_trusted_miner: bool | None = None
    progress: ProgressBody | None = None
    cancel_requested_at: datetime | None = None
    artifacts_dir: str | None = None
    download_time_limit: int | None = None
    streaming_start_time_limit: int | None = None
    execution_time_limit: int | None = None
    upload_time_limit: int | None = None
    volumes: list[dict[str, Any]] | None = None
    uploads: list[dict[str, Any]] | None = None

    def facts(self) -> JobFacts:
        """What there is to know beside its course."""
        return JobFacts(
            created_at=self.created_at,
            executor_class=self.executor_class,
            docker_image=self.docker_image,
            job_namespace=self.job_namespace,
            args=self.args,
            env=self.env,
            on_trusted_miner=self.on_trusted_miner,
            progress=self.progress.value() if self.progress else None,
            cancel_requested_at=self.cancel_requested_at,
            artifacts_dir=self.artifacts_dir,
            limits=self._limits(),
            inputs=self.volumes,
            outputs=self.uploads,
        )

    def _limits(self) -> dict[str, int] | None:
        limits = {
            "download": self.download_time_limit,
            "streaming_start": self.streaming_start_time_limit,
            "execution": self.execution_time_limit,
            "upload": self.upload_time_limit,
        }
        return {stage: limit for stage, limit in limits.items() if limit is not None} or None

    @property
    def status(self) -> ComputeHordeJobStatus:
        """Where it is."""
        return self.status_history[-1].status

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


class EndBody(_Body):
    """How a job ended."""

    status: ComputeHordeJobStatus


class PageBody(_Body):
    """One page of the list of jobs."""

    count: int = 0
    next: str | None = None
    results: list[JobBody]


class PieceBody(_Body):
    """A piece of what a job wrote."""

    number: int
    stream: str
    text: str
    dropped: int = 0
    created_at: datetime

    def value(self) -> ComputeHordeLogPiece:
        """The same, as users see it."""
        return ComputeHordeLogPiece(
            self.number, self.stream, self.text, self.dropped, self.created_at
        )


class LogBody(_Body):
    """One page of what a job wrote."""

    pieces: list[PieceBody]
    next_offset: int
    ended: bool

    def value(self) -> ComputeHordeLogPage:
        """The page, as users see it."""
        pieces = [piece.value() for piece in self.pieces]
        return ComputeHordeLogPage(pieces, self.next_offset, self.ended)


def parsed(model: type[A], response: httpx.Response) -> A:
    """An answer's body.

    Raises:
        ComputeHordeError: it is not what it should be.
    """
    try:
        return model.model_validate_json(response.content)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"]) or "body"
        raise ComputeHordeError(
            f"ComputeHorde returned malformed response: {where}: {fault['msg']}"
        ) from error


def _artifacts(encoded: Mapping[str, str], uuid: str) -> dict[str, bytes]:
    # Artifacts come from a miner. One that is no base64 must not hide the rest of the job.
    artifacts = {}
    for path, text in encoded.items():
        try:
            artifacts[path] = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            logger.warning("artifact %s is no base64 and left out of job %s", path, uuid)
    return artifacts

"""A job's states and results, as users see them."""

import base64
import binascii
import json
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ValidationError

from compute_horde_common.jobs.failures import HordeFailure, JobFailure, Rejection
from compute_horde_common.protocol.facilitator_validator import StatusMetadata
from compute_horde_common.protocol.rest import JobView
from compute_horde_sdk._internal.errors import ComputeHordeResponseError

OUTPUT = "/output/"


class ComputeHordeJobStatus(StrEnum):
    """Where a job is."""

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
        """The states that nothing follows."""
        return {cls.COMPLETED, cls.REJECTED, cls.FAILED, cls.HORDE_FAILED}

    def is_in_progress(self) -> bool:
        """Whether the job goes on."""
        return self not in self.end_states()

    def is_successful(self) -> bool:
        """Whether the job ended well."""
        return self is ComputeHordeJobStatus.COMPLETED

    def is_streaming_ready(self) -> bool:
        """Whether the job can be reached, and does nothing later yet."""
        return self is ComputeHordeJobStatus.STREAMING_READY

    def is_failed(self) -> bool:
        """Whether the job ended other than well."""
        return self in self.end_states() and not self.is_successful()


class HttpOutputVolumeResponse(BaseModel):
    """What a server answered to an upload."""

    headers: dict[str, str]
    body: str


@dataclass
class ComputeHordeJobResult:
    """What a job left. ``artifacts`` are by path in the container, ``upload_results`` likewise."""

    stdout: str
    stderr: str
    artifacts: dict[str, bytes]
    upload_results: dict[str, HttpOutputVolumeResponse] = field(default_factory=dict)

    def add_upload_result(self, path: str, response: HttpOutputVolumeResponse) -> None:
        """Adds the answer to the upload of a file below ``/output/``."""
        self.upload_results[OUTPUT + path] = response


@dataclass
class ComputeHordeJobRejection:
    """Nobody took the job."""

    reason: str
    message: str
    context: dict[str, Any] | None = None
    rejected_by: str | None = None


@dataclass
class ComputeHordeJobFailure:
    """The job went wrong. Output is what the container wrote until then."""

    reason: str
    message: str
    context: dict[str, Any] | None = None
    stage: str | None = None
    exit_status: int | None = None
    stdout: str | None = None
    stderr: str | None = None


@dataclass
class ComputeHordeHordeFailure:
    """The network failed the job; it may be worth another try."""

    reason: str
    message: str
    reported_by: str
    context: dict[str, Any] | None = None


Failure = ComputeHordeJobRejection | ComputeHordeJobFailure | ComputeHordeHordeFailure


@dataclass
class ComputeHordeJobStatusEntry:
    """One line of a job's history."""

    created_at: datetime
    status: ComputeHordeJobStatus
    metadata: StatusMetadata | None = None


def history_of(view: JobView) -> list[ComputeHordeJobStatusEntry]:
    """The history in a facilitator's answer.

    Raises:
        ComputeHordeResponseError: it has none.
    """
    if not view.status_history:
        raise ComputeHordeResponseError(f"job {view.uuid} came without any status")
    return [
        ComputeHordeJobStatusEntry(
            entry.created_at, ComputeHordeJobStatus(entry.status.value), entry.metadata
        )
        for entry in view.status_history
    ]


def failure_of(metadata: StatusMetadata | None) -> Failure | None:
    """The failure in a status, if it is one."""
    if metadata is None:
        return None
    if metadata.horde_failure_details is not None:
        return _horde_failure(metadata.horde_failure_details)
    if metadata.job_failure_details is not None:
        return _job_failure(metadata.job_failure_details)
    if metadata.job_rejection_details is not None:
        return _rejection(metadata.job_rejection_details)
    return None


def result_of(view: JobView) -> ComputeHordeJobResult | None:
    """The result in a facilitator's answer; ``None`` while the job goes on.

    Raises:
        ComputeHordeResponseError: an artifact is no base64.
    """
    if not view.status_history or not view.status_history[-1].status.is_end:
        return None
    result = ComputeHordeJobResult(
        stdout=view.stdout,
        stderr=view.stderr,
        artifacts={path: _decoded(path, text) for path, text in view.artifacts.items()},
    )
    for path, text in view.upload_results.items():
        try:
            answer = HttpOutputVolumeResponse.model_validate(json.loads(text))
        except (ValidationError, ValueError):
            raise ComputeHordeResponseError(
                f"the result of uploading {path} cannot be read"
            ) from None
        result.add_upload_result(path, answer)
    return result


def _decoded(path: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ComputeHordeResponseError(f"artifact {path} is no base64") from None


def _rejection(found: Rejection) -> ComputeHordeJobRejection:
    return ComputeHordeJobRejection(
        str(found.reason), found.message, found.context, str(found.rejected_by)
    )


def _job_failure(found: JobFailure) -> ComputeHordeJobFailure:
    return ComputeHordeJobFailure(
        reason=str(found.reason),
        message=found.message,
        context=found.context,
        stage=str(found.stage),
        exit_status=found.docker_process_exit_status,
        stdout=found.docker_process_stdout,
        stderr=found.docker_process_stderr,
    )


def _horde_failure(found: HordeFailure) -> ComputeHordeHordeFailure:
    return ComputeHordeHordeFailure(
        str(found.reason), found.message, str(found.reported_by), found.context
    )

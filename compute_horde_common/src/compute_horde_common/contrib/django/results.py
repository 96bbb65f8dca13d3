"""What jobs left, and why they ended, as services keep it: in the metadata of statuses, and in
messages."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from compute_horde_common.contrib.django import rendering
from compute_horde_common.jobs.failures import Failure, HordeFailure, JobFailure, Rejection
from compute_horde_common.protocol.facilitator_validator import StatusMetadata
from compute_horde_common.protocol.validator_miner import JobFinished


@dataclass(frozen=True, slots=True)
class Result:
    """What a job left. Artifacts are base64, by path; answers to uploads are JSON, by path."""

    stdout: str = ""
    stderr: str = ""
    artifacts: Mapping[str, str] = field(default_factory=dict)
    upload_results: Mapping[str, str] = field(default_factory=dict)

    @property
    def paths(self) -> list[str]:
        """Of the artifacts, in the order in which they are numbered."""
        return sorted(self.artifacts)


def metadata_in(text: str) -> StatusMetadata:
    """What there is to say about a status; nothing, if it cannot be read."""
    try:
        return StatusMetadata.model_validate_json(text) if text else StatusMetadata()
    except ValidationError:
        return StatusMetadata()


def result_in(metadata: StatusMetadata) -> Result:
    """What a job left that ended with this."""
    if (told := metadata.miner_response) is not None:
        return Result(
            told.docker_process_stdout,
            told.docker_process_stderr,
            told.artifacts or {},
            told.upload_results or {},
        )
    failure = metadata.job_failure_details
    return Result() if failure is None else result_of_failure(failure)


def result_of_finished(told: JobFinished) -> Result:
    """What a job left that went well."""
    return Result(
        told.docker_process_stdout,
        told.docker_process_stderr,
        told.artifacts or {},
        told.upload_results or {},
    )


def result_of_failure(failure: JobFailure) -> Result:
    """What a job left that went wrong."""
    return Result(failure.docker_process_stdout or "", failure.docker_process_stderr or "")


def in_words(metadata: StatusMetadata) -> str:
    """What a status's metadata say, in a sentence; empty if that is nothing."""
    failure = (
        metadata.job_rejection_details
        or metadata.job_failure_details
        or metadata.horde_failure_details
    )
    if failure is not None:
        return failure_in_words(failure)
    if (server := metadata.streaming_details) is not None:
        address = f"{server.streaming_server_address}:{server.streaming_server_port}"
        return f"It can be reached at {address}."
    if (told := metadata.miner_response) is not None:
        written = rendering.size(len(told.docker_process_stdout.encode(errors="replace")))
        return f"It went well: {written} of output, artifacts: {len(told.artifacts or {})}."
    return ""


def failure_in_words(failure: Failure) -> str:
    """Why a job ended, in plain words."""
    message = failure.message.strip().rstrip(".") or "no message"
    match failure:
        case Rejection():
            return f"Nobody took the job. The {failure.rejected_by}: {message} ({failure.reason})."
        case JobFailure():
            status = failure.docker_process_exit_status
            exited = "" if status is None else f", exit status {status}"
            stage = failure.stage.replace("_", " ")
            return f"The job went wrong, stage {stage}: {message} ({failure.reason}{exited})."
        case HordeFailure():
            return (
                f"The network failed the job. The {failure.reported_by}: {message}"
                f" ({failure.reason})."
            )


def contents(artifact: str) -> bytes:
    """The bytes of an artifact; its text as it came, where that is no base64."""
    try:
        return base64.b64decode(artifact, validate=True)
    except (binascii.Error, ValueError):
        return artifact.encode(errors="replace")

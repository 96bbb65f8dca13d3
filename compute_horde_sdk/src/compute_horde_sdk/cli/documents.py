"""Jobs and what happens to them, as JSON."""

import base64
import dataclasses
from collections.abc import Mapping
from typing import Any

from typing_extensions import assert_never

from compute_horde_sdk._internal.results import (
    ComputeHordeHordeFailure,
    ComputeHordeJobFailure,
    ComputeHordeJobProgress,
    ComputeHordeJobRejection,
    ComputeHordeJobStatusEntry,
    ComputeHordeLogPiece,
    Failure,
)
from compute_horde_sdk.v1 import (
    ComputeHordeEndEvent,
    ComputeHordeJob,
    ComputeHordeJobEvent,
    ComputeHordeLogEvent,
    ComputeHordeProgressEvent,
    ComputeHordeStatusEvent,
)

Document = dict[str, Any]
HIDDEN = "***"
_SECRETS = {"token", "signed_headers", "form_fields"}
_KINDS = {
    ComputeHordeJobRejection: "rejection",
    ComputeHordeJobFailure: "job_failure",
    ComputeHordeHordeFailure: "horde_failure",
}


def job_summary(job: ComputeHordeJob) -> Document:
    """What there is to say of a job without its output."""
    return {
        "uuid": job.uuid,
        "status": job.status.value,
        "exit_status": job.exit_status,
        "created_at": job.created_at.isoformat() if job.created_at else None,
        "executor_class": job.executor_class,
        "docker_image": job.docker_image,
        "job_namespace": job.job_namespace,
        "args": list(job.args) if job.args is not None else None,
        "on_trusted_miner": job.on_trusted_miner,
        "progress": _progress(job.progress) if job.progress else None,
        "error": _failure(job.error) if job.error else None,
    }


def job_document(job: ComputeHordeJob, *, reveal: bool = False) -> Document:
    """All there is to say of a job; secrets only with ``reveal``. Artifacts are in base64."""
    result = job.result
    asked_at = job.cancel_requested_at
    return job_summary(job) | {
        "env": env(job, reveal=reveal) if job.env is not None else None,
        "artifacts_dir": job.artifacts_dir,
        "limits": dict(job.limits) if job.limits is not None else None,
        "inputs": volumes(job.inputs, reveal=reveal),
        "outputs": volumes(job.outputs, reveal=reveal),
        "cancel_requested_at": asked_at.isoformat() if asked_at else None,
        "status_history": [_entry(entry) for entry in job.status_history],
        "stdout": result.stdout if result else None,
        "stderr": result.stderr if result else None,
        "artifacts": {
            path: base64.b64encode(contents).decode()
            for path, contents in (result.artifacts if result else {}).items()
        },
        "upload_results": {
            path: answer.model_dump()
            for path, answer in (result.upload_results if result else {}).items()
        },
    }


def env(job: ComputeHordeJob, *, reveal: bool) -> dict[str, str]:
    """A job's variables; their values only with ``reveal``."""
    return {name: value if reveal else HIDDEN for name, value in (job.env or {}).items()}


def volumes(listed: Any, *, reveal: bool) -> Any:  # noqa: ANN401 - JSON of any depth
    """Inputs or outputs; what lets others read or write there only with ``reveal``."""
    if reveal:
        return listed
    match listed:
        case Mapping():
            return {
                name: volumes(value, reveal=False)
                for name, value in listed.items()
                if name not in _SECRETS
            }
        case list() | tuple():
            return [volumes(value, reveal=False) for value in listed]
        case str() if listed.startswith(("http://", "https://")):
            return listed.split("?", maxsplit=1)[0]
        case _:
            return listed


def event_document(event: ComputeHordeJobEvent) -> Document:
    """One line about what happened to a job."""
    match event:
        case ComputeHordeStatusEvent():
            return {"event": "status", **_entry(event.entry)}
        case ComputeHordeLogEvent():
            return {"event": "log", **piece_document(event.piece)}
        case ComputeHordeProgressEvent():
            return {"event": "progress", **_progress(event.progress)}
        case ComputeHordeEndEvent():
            return {"event": "end", "status": event.status.value}
        case never:
            assert_never(never)


def piece_document(piece: ComputeHordeLogPiece) -> Document:
    """A piece of a job's output."""
    return {**dataclasses.asdict(piece), "created_at": piece.created_at.isoformat()}


def _entry(entry: ComputeHordeJobStatusEntry) -> Document:
    failure = entry.metadata.failure if entry.metadata else None
    base = {"status": entry.status.value, "created_at": entry.created_at.isoformat()}
    return {**base, "error": _failure(failure)} if failure else base


def _progress(progress: ComputeHordeJobProgress) -> Document:
    return {**dataclasses.asdict(progress), "at": progress.at.isoformat()}


def _failure(failure: Failure) -> Document:
    return {"kind": _KINDS[type(failure)], **dataclasses.asdict(failure)}

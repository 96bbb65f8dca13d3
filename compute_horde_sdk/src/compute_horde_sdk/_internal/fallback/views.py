"""A fallback job in the form in which facilitators show jobs."""

import base64
from typing import Any

from compute_horde_sdk._internal.answers import JobBody
from compute_horde_sdk._internal.fallback.cloud import Phase
from compute_horde_sdk._internal.fallback.records import Record
from compute_horde_sdk._internal.fallback.transcript import Transcript, read

Json = dict[str, Any]


def body_of(record: Record) -> JobBody:
    """All that is known of a job."""
    told = read(record.log)
    return JobBody.model_validate(
        {
            "uuid": record.uuid,
            "created_at": record.created_at,
            "docker_image": record.image,
            "status_history": _history(record, told),
            "stdout": told.written("stdout"),
            "stderr": told.written("stderr"),
            "artifacts": {
                path: base64.b64encode(content).decode() for path, content in told.artifacts.items()
            },
            "upload_results": told.upload_results,
            "progress": told.progress,
        }
    )


def _history(record: Record, told: Transcript) -> list[Json]:
    created_at = record.created_at.isoformat()
    history: list[Json] = [{"status": "sent", "created_at": created_at}]
    if record.phase not in {"", Phase.REFUSED} or told.history:
        history.append({"status": "accepted", "created_at": created_at})
    history += [_with_output(entry, told) for entry in told.history]
    if record.ended and not told.has_ended:
        history.append({"created_at": created_at, **_end(record)})
    return history


def _with_output(entry: Json, told: Transcript) -> Json:
    """A failure has the output of its container with it, as on the network."""
    details = entry["metadata"].get("job_failure_details")
    if details is None:
        return entry
    output = {f"docker_process_{name}": told.written(name) for name in ("stdout", "stderr")}
    return {**entry, "metadata": {"job_failure_details": {**details, **output}}}


def _end(record: Record) -> Json:
    """How a job ended that did not say so itself."""
    reason = record.reason or "the machine gives no reason"
    match record.phase:
        case Phase.CANCELLED:
            told = {"reason": "cancelled", "message": "The job was cancelled by its author."}
            return {"status": "failed", "metadata": {"job_failure_details": told}}
        case Phase.REFUSED:
            told = {"reason": "no_miner_for_job", "message": reason, "rejected_by": record.cloud}
            return {"status": "rejected", "metadata": {"job_rejection_details": told}}
        case _:
            message = f"The machine ended before it was heard how the job ended: {reason}"
            told = {"reason": "executor_disconnected", "message": message}
            return {"status": "horde_failed", "metadata": {"horde_failure_details": told}}

"""How a job ended: in a sentence, what to do about it, and as an exit status."""

from compute_horde_sdk._internal.results import (
    ComputeHordeHordeFailure,
    ComputeHordeJobFailure,
    ComputeHordeJobRejection,
)
from compute_horde_sdk.cli.trouble import Status
from compute_horde_sdk.v1 import ComputeHordeJob

_LIMITS = {
    "volume_download": "download",
    "streaming_startup": "streaming-start",
    "execution": "execution",
    "result_upload": "upload",
}
_STATUSES = {"cancelled": Status.INTERRUPTED, "timeout": Status.TIMED_OUT}
_JOB_ADVICE = {
    "download_failed": "Check the inputs' URLs; they must be reachable from the internet.",
    "upload_failed": "Check the outputs' URLs: presigned ones expire, and each needs its file.",
}
_REJECTION_ADVICE = {
    "invalid_signature": "`horde doctor` looks for the reason.",
    "validator_blacklisted": "Choose another validator with --validator.",
}


def exit_status(job: ComputeHordeJob) -> int:
    """What ``horde`` exits with after a job."""
    match job.error:
        case ComputeHordeJobFailure(reason="nonzero_return_code"):
            return job.exit_status or Status.JOB_FAILED
        case ComputeHordeJobFailure(reason=reason):
            return _STATUSES.get(reason, Status.JOB_FAILED)
        case ComputeHordeJobRejection():
            return Status.REJECTED
        case ComputeHordeHordeFailure():
            return Status.HORDE_FAILED
        case None:
            return Status.DONE if job.status.is_successful() else Status.JOB_FAILED


def sentence(job: ComputeHordeJob) -> str:
    """How a job ended."""
    error = job.error
    if error is None:
        return str(job.status).lower()
    match error:
        case ComputeHordeJobFailure(reason="cancelled"):
            return "cancelled"
        case ComputeHordeJobFailure():
            stage = f" in {error.stage.replace('_', ' ')}" if error.stage else ""
            return f"failed{stage} ({error.reason}): {error.message}"
        case ComputeHordeJobRejection():
            by = f" by the {error.rejected_by}" if error.rejected_by else ""
            return f"rejected{by} ({error.reason}): {error.message}"
        case ComputeHordeHordeFailure():
            return (
                f"failed by the network ({error.reason}, says the {error.reported_by}):"
                f" {error.message}"
            )


def advice(job: ComputeHordeJob) -> str:
    """What to do about an ending; empty where there is nothing to be done."""
    match job.error:
        case ComputeHordeHordeFailure():
            return "The same job may well succeed when it is run again."
        case ComputeHordeJobRejection(reason=reason):
            return _REJECTION_ADVICE.get(
                reason, "Try again later, or choose another class; `horde classes` lists them."
            )
        case ComputeHordeJobFailure() as failure:
            return _job_advice(failure)
        case None:
            return ""


def _job_advice(failure: ComputeHordeJobFailure) -> str:
    context = failure.context or {}
    if context.get("oom_killed"):
        return "It filled its memory. Let it use less, or choose a larger class."
    if context.get("disk_exceeded"):
        return "It filled its disk. Let it write less, or send it off in smaller parts."
    if failure.reason == "timeout":
        limit = _LIMITS.get(failure.stage or "", "execution")
        return f"Give it more time with --limits {limit}=SECONDS."
    if failure.reason == "download_failed" and failure.stage == "executor_startup":
        return "Check the image's name; miners must be able to pull it without a login."
    return _JOB_ADVICE.get(failure.reason, "")

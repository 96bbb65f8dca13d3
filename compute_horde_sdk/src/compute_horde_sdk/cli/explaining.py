"""Any error as one sentence, what to do about it, and an exit status."""

import re

import httpx

from compute_horde_sdk._internal.errors import (
    ComputeHordeAPIError,
    ComputeHordeError,
    ComputeHordeJobTimeoutError,
    ComputeHordeNotFoundError,
    ComputeHordeValidationError,
)
from compute_horde_sdk.cli.trouble import CommandFailed, Status, WrongUsage

SHOWN_CHARACTERS = 1000
FLAGS = {
    "executor_class": "--class",
    "docker_image": "the image's name",
    "job_namespace": "--namespace",
    "download_time_limit_sec": "--limits download=SECONDS",
    "execution_time_limit_sec": "--limits execution=SECONDS",
    "upload_time_limit_sec": "--limits upload=SECONDS",
    "streaming_start_time_limit_sec": "--limits streaming-start=SECONDS",
    "artifacts_dir": "--artifacts",
    "input_volumes": "--input",
    "output_volumes": "--output",
    "args": "the arguments after the image",
    "env": "--env",
    "compute_horde_validator_hotkey": "--validator",
    "target_validator_hotkey": "--validator",
    "download_time_limit": "--limits download=SECONDS",
    "execution_time_limit": "--limits execution=SECONDS",
    "upload_time_limit": "--limits upload=SECONDS",
    "volumes": "--input",
    "uploads": "--output",
    "facilitator_url": "--facilitator-url",
    "timeout": "--timeout",
}
"""What the command line calls the fields of the SDK."""


def explained(error: Exception) -> CommandFailed:  # noqa: PLR0911 - one for each kind
    """What to tell about an error that ended a command."""
    match error:
        case CommandFailed():
            return error
        case ComputeHordeValidationError():
            return WrongUsage(str(error), _change(error.field))
        case ComputeHordeJobTimeoutError():
            return CommandFailed(str(error), status=Status.TIMED_OUT)
        case ComputeHordeNotFoundError():
            return CommandFailed(
                "this hotkey has no such job", "`horde jobs` lists those that it has."
            )
        case ComputeHordeAPIError():
            return CommandFailed(
                f"the facilitator answered {error.status_code}: {error.detail[:SHOWN_CHARACTERS]}",
                _after_refusal(error),
            )
        case ComputeHordeError():
            return CommandFailed(str(error), "`horde doctor` looks for the reason.")
        case _:
            return CommandFailed(
                f"unexpected {type(error).__name__}: {error}",
                "HORDE_DEBUG=1 shows where it comes from.",
            )


def _change(field: str) -> str:
    flag = FLAGS.get(re.split(r"[.\[]", field, maxsplit=1)[0])
    return f"Change {flag}." if flag else ""


def _after_refusal(error: ComputeHordeAPIError) -> str:
    if error.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        return "`horde doctor` looks for the reason."
    if error.status_code == httpx.codes.TOO_MANY_REQUESTS:
        return "Wait a minute and try again."
    if "alidator" in error.detail:
        return "Choose another one with --validator."
    return next(filter(None, map(_change, error.reasons)), "")

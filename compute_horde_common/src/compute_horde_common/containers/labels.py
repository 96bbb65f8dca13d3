"""The labels on every job container.

An executor that is killed cannot remove its container any more; whoever owns the executor
finds what it left by these labels.
"""

from typing import Final

OWNER_LABEL: Final = "compute-horde.owner"
"""Whose container this is: the value of EXECUTOR_OWNER, one per fleet on a Docker host."""

TOKEN_LABEL: Final = "compute-horde.token"  # noqa: S105 - the name of a label
"""The executor's one-time token."""

JOB_LABEL: Final = "compute-horde.job"
"""The job's UUID in its canonical spelling."""


def job_folder_name(token: str) -> str:
    """The folder in which the executor with this token keeps its job's files."""
    return f"compute-horde-{token}"

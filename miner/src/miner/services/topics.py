"""What processes wake each other about."""

from uuid import UUID

FLEET = "fleet"
"""A slot was taken, a job ended, or an executor came or went."""


def job_topic(job_uuid: UUID | str) -> str:
    """There is something to say to the validator about a job."""
    return f"job.{job_uuid}"


def executor_topic(token: str) -> str:
    """There is something to say to an executor."""
    return f"executor.{token}"


def validator_topic(hotkey: str) -> str:
    """A job of this validator has lost its socket."""
    return f"validator.{hotkey}"

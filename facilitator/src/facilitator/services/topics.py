"""What wake-ups are about."""

from uuid import UUID


def job_topic(job_uuid: UUID) -> str:
    """News of a job: a status, output, progress."""
    return f"facilitator.job.{job_uuid}"

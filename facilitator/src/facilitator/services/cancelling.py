"""Cancellations: noted first, then said to the validator until the job has ended."""

from datetime import datetime
from uuid import UUID

import structlog
from django.db import transaction

from compute_horde_common.contrib.django import outbox
from compute_horde_common.contrib.django.models import Outbox
from compute_horde_common.jobs.failures import JobFailure, JobFailureReason, Stage
from compute_horde_common.jobs.lifecycle import JobStatus
from compute_horde_common.protocol.base import encode
from compute_horde_common.protocol.facilitator_validator import StatusMetadata
from compute_horde_common.protocol.live import CancelJob
from facilitator.domain.refusals import Conflict, NotFound
from facilitator.models import Job, StatusChange
from facilitator.models.jobs import ENDED
from facilitator.services import fleet, jobs

log = structlog.get_logger(__name__)


@transaction.atomic
def cancel(job_uuid: UUID, hotkey: str | None, at: datetime) -> Job:
    """Wishes a job to end; the job as it is then. One that no validator was sent has ended. Wishing
    it again changes nothing.

    Args:
        job_uuid: which job.
        hotkey: whose; None for the operator, who may cancel any.
        at: now.

    Raises:
        NotFound: there is no such job of that hotkey.
        Conflict: it has ended, other than cancelled, or its validator cannot cancel.
    """
    among = Job.objects.filter(uuid=job_uuid)
    if hotkey is not None:
        among = among.filter(hotkey=hotkey)
    job = among.select_for_update(of=("self",), no_key=True).first()
    if job is None:
        raise NotFound("There is no such job of yours.")
    if job.status in ENDED:
        if not _was_cancelled(job):
            raise Conflict(f"The job has ended as {job.status}, so it cannot be cancelled.")
        return job
    if job.cancel_requested_at is None:
        _wish(job, hotkey, at)
        job.refresh_from_db()
    return job


def _wish(job: Job, hotkey: str | None, at: datetime) -> None:
    if job.status == JobStatus.SENT.value and _is_undelivered(job):
        Job.objects.filter(uuid=job.uuid).update(cancel_requested_at=at)
        failure = _undelivered("the operator" if hotkey is None else "its author")
        jobs.move(job.uuid, failure.status, at, StatusMetadata.of_failure(failure))
        return
    if not fleet.takes_cancellations(job.validator_id, at):
        raise Conflict(
            "The job's validator does not understand cancellation. The job goes on until it ends"
            " or one of its limits is over."
        )
    Job.objects.filter(uuid=job.uuid).update(cancel_requested_at=at)
    message = CancelJob(job_uuid=str(job.uuid))
    outbox.put(fleet.control_mailbox_of(job.validator_id), str(job.uuid), encode(message))
    log.info("cancellation on its way", job=str(job.uuid))


def _was_cancelled(job: Job) -> bool:
    ending = StatusChange.objects.filter(job=job, status=JobStatus.FAILED.value).first()
    if ending is None or not ending.metadata:
        return False
    failure = StatusMetadata.model_validate_json(ending.metadata).job_failure_details
    return failure is not None and failure.reason == JobFailureReason.CANCELLED


def _is_undelivered(job: Job) -> bool:
    """Whether no validator was sent the job; the lock keeps it so. Its request lies before
    everything else that is said about it."""
    about = Outbox.objects.filter(
        recipient=fleet.mailbox_of(job.validator_id), about=str(job.uuid)
    ).order_by("id")
    request = about.select_for_update().first()
    return request is not None and request.attempts == 0


def _undelivered(who: str) -> JobFailure:
    return JobFailure(
        reason=JobFailureReason.CANCELLED,
        stage=Stage.UNKNOWN,
        message=f"The job was cancelled by {who} before a validator had it.",
    )

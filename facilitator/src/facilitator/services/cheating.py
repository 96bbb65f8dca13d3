"""Reports of users that a miner cheated, which the job's validator judges."""

from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from pydantic_core import to_json

from compute_horde_common.contrib.django import outbox
from compute_horde_common.protocol.base import encode
from compute_horde_common.protocol.facilitator_validator import CheatedJob
from compute_horde_common.protocol.rest import CheatReport as CheatReportBody
from compute_horde_common.protocol.signatures import Signature
from facilitator.domain.refusals import AlreadyReported, NotFound
from facilitator.models import CheatReport, Job
from facilitator.services import fleet


def report(
    body: CheatReportBody, signature: Signature | None, *, hotkey: str, at: datetime
) -> None:
    """Stores a report and forwards it to the validator of the job.

    Raises:
        NotFound: one of the jobs is not this hotkey's, or of the wrong kind.
        AlreadyReported: the job was reported before.
    """
    job = _own(body.job_uuid, hotkey, trusted=False)
    trusted = _own(body.trusted_job_uuid, hotkey, trusted=True)
    message = CheatedJob(
        signature=signature,
        job_uuid=str(job.uuid),
        trusted_job_uuid=str(trusted.uuid),
        details=body.details,
    )
    try:
        with transaction.atomic():
            CheatReport.objects.create(
                job=job,
                trusted_job=trusted,
                details=to_json(body.details).decode(),
                created_at=at,
            )
            outbox.put(fleet.mailbox_of(job.validator_id), str(job.uuid), encode(message))
    except IntegrityError:
        raise AlreadyReported("This job was reported before.") from None


def _own(job_uuid: UUID, hotkey: str, *, trusted: bool) -> Job:
    job = Job.objects.filter(uuid=job_uuid, hotkey=hotkey, on_trusted_miner=trusted).first()
    if job is None:
        kind = "on a trusted miner" if trusted else "on an ordinary miner"
        raise NotFound(f"There is no job {job_uuid} of yours {kind}.")
    return job

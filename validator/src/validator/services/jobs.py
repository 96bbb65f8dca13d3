"""Jobs: taken from the facilitator, moved forward, ended. A status is assigned in `move` alone;
what the facilitator must hear is written beside it, in the same transaction."""

from datetime import datetime
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Q, Value
from django.db.models.functions import Coalesce

from compute_horde_common.contrib.django import outbox, serving
from compute_horde_common.contrib.django.models import Outbox
from compute_horde_common.jobs.failures import (
    HordeFailure,
    JobFailure,
    Participant,
    Rejection,
    RejectionReason,
)
from compute_horde_common.jobs.lifecycle import NEXT, JobStatus
from compute_horde_common.protocol.base import encode
from compute_horde_common.protocol.facilitator_validator import (
    CheatedJob,
    JobRequest,
    StatusMetadata,
    StatusUpdate,
)
from compute_horde_common.protocol.signatures import BadSignature, Verifier
from compute_horde_common.telemetry.metrics import JOB_MOVES
from validator.domain.assignments import JobCase, within_bounds
from validator.domain.requests import check_report, verified_spec
from validator.models import Attempt, Job, StatusChange
from validator.models.jobs import ENDED, plain
from validator.services import subnet

FACILITATOR = "facilitator"
NOT_SERVING = "this validator takes no new jobs now; try another one, or try again later"

log = structlog.get_logger(__name__)


@transaction.atomic
def take(request: JobRequest, *, own: str, verify: Verifier, at: datetime) -> JobCase | None:
    """The job of a request, to be driven; ``None`` if there is nothing to do.

    A request that was seen before changes nothing: what is to be said about its job was said or
    is in the outbox. A bad one makes a rejected job, as does any while no new work is taken.

    Raises:
        ValueError: its uuid is none, so nothing can be answered.
    """
    if str(UUID(request.uuid)) != request.uuid:
        raise ValueError("the uuid of a job request is not in its usual spelling")
    if Job.objects.filter(uuid=request.uuid).exists():
        log.info("job request repeated", job=request.uuid)
        return None
    claimed = request.signature.signatory if request.signature else ""
    try:
        identity = request.signature.identity if request.signature else None
        allowed = subnet.allowed_signers(own, plain(claimed, 64))
        spec = verified_spec(request, allowed, verify)
        _check_unused(identity)
    except BadSignature as error:
        _reject(request, RejectionReason.INVALID_SIGNATURE, str(error), at)
        return None
    if not serving.may_take_work():
        _reject(request, RejectionReason.BUSY, NOT_SERVING, at)
        return None
    job = _new_job(request, JobStatus.RECEIVED, at)
    job.signatory = claimed
    job.signature_identity = identity
    job.save(force_insert=True)
    _announce(request.uuid, JobStatus.RECEIVED, at, None)
    return JobCase(request.uuid, spec)


@transaction.atomic
def move(
    job_uuid: str, to: JobStatus, at: datetime, metadata: StatusMetadata | None = None
) -> bool:
    """Moves a job to a status; False if it may not go there from where it is, because it was
    there before or has ended."""
    before = [status.value for status, following in NEXT.items() if to in following]
    changes: dict[str, object] = {"status": to.value}
    if to.is_end:
        changes["ended_at"] = at
    if not Job.objects.filter(uuid=job_uuid, status__in=before).update(**changes):
        return False
    _announce(job_uuid, to, at, metadata)
    return True


def settle(job_uuid: str, failure: Rejection | JobFailure | HordeFailure, at: datetime) -> bool:
    """Ends a job with a failure; False if it had ended already."""
    with transaction.atomic():
        Attempt.objects.filter(job_id=job_uuid, ended_at=None).update(
            ended_at=at, outcome=plain(str(failure.reason), 200), offer=""
        )
        return move(job_uuid, failure.status, at, within_bounds(failure))


def unfinished() -> list[str]:
    """The jobs that have not ended, oldest first."""
    found = Job.objects.exclude(status__in=ENDED).order_by("received_at")
    return [str(uuid) for uuid in found.values_list("uuid", flat=True)]


def still_open(_at: datetime) -> list[str]:
    """What runs, and of what the facilitator does not know the end; oldest first, for people."""
    running = Job.objects.exclude(status__in=ENDED).order_by("received_at")
    open_jobs = {str(uuid): status for uuid, status in running.values_list("uuid", "status")}
    untold = Outbox.objects.filter(recipient=FACILITATOR).order_by("id")
    for uuid in untold.values_list("about", flat=True):
        open_jobs.setdefault(uuid, "ended, not told to the facilitator yet")
    return [f"{uuid} {what}" for uuid, what in open_jobs.items()]


def link_is_needed(at: datetime) -> bool:
    """Whether there is anything to do on the facilitator's link: new jobs, or old ones to report.
    A facilitator gives jobs to whoever is connected, for instance to us and not to the server that
    has taken our place."""
    return serving.is_serving() or bool(still_open(at))


def last_words() -> int | None:
    """The newest thing to be said to the facilitator before we leave, 0 if there is none; ``None``
    while we take jobs, or have some. What is rejected from then on does not make us stay."""
    if serving.is_serving() or Job.objects.exclude(status__in=ENDED).exists():
        return None
    untold = Outbox.objects.filter(recipient=FACILITATOR).order_by("-id")
    return untold.values_list("id", flat=True).first() or 0


def is_said(last: int) -> bool:
    """Whether the facilitator knows everything up to ``last``, of `last_words`."""
    return not Outbox.objects.filter(recipient=FACILITATOR, id__lte=last).exists()


def case_of(job_uuid: str) -> JobCase | None:
    """A job that was taken before; ``None`` if it has ended."""
    job = Job.objects.filter(uuid=job_uuid).exclude(status__in=ENDED).first()
    if job is None:
        return None
    spec = JobRequest.model_validate_json(job.request).spec()
    return JobCase(job_uuid, spec, cancelled=job.cancel_requested_at is not None)


def request_cancel(job_uuid: str, at: datetime) -> bool:
    """Notes that a job's author wants it ended; False if there is no such job, or it has ended."""
    running = Job.objects.filter(uuid=job_uuid).exclude(status__in=ENDED)
    return running.update(cancel_requested_at=Coalesce("cancel_requested_at", Value(at))) > 0


@transaction.atomic
def mark_cheated(report: CheatedJob, *, own: str, verify: Verifier) -> bool:
    """Marks a completed job as cheated on; False if there is none, or it is marked already.

    Raises:
        BadSignature: the report is not by somebody who may use this validator.
    """
    claimed = report.signature.signatory if report.signature else ""
    check_report(report, subnet.allowed_signers(own, plain(claimed, 64)), verify)
    try:
        uuid = UUID(report.job_uuid)
    except ValueError:
        return False
    completed = Q(uuid=uuid, status=JobStatus.COMPLETED.value, cheated=False)
    marked = Job.objects.filter(completed).update(cheated=True, cheat_report=encode(report))
    return marked > 0


def _check_unused(identity: str | None) -> None:
    if Job.objects.filter(signature_identity=identity).exists():
        raise BadSignature("this signature was used for another job")


def _reject(request: JobRequest, reason: RejectionReason, message: str, at: datetime) -> None:
    job = _new_job(request, JobStatus.REJECTED, at)
    job.ended_at = at
    job.save(force_insert=True)
    rejection = Rejection(
        rejected_by=Participant.VALIDATOR,
        reason=reason,
        message=message,
    )
    _announce(request.uuid, JobStatus.REJECTED, at, within_bounds(rejection))


def _new_job(request: JobRequest, status: JobStatus, at: datetime) -> Job:
    return Job(
        uuid=request.uuid,
        status=status.value,
        executor_class=request.executor_class,
        on_trusted_miner=request.on_trusted_miner,
        namespace=plain(request.job_namespace or "", 255),
        request=encode(request),
        received_at=at,
    )


def _announce(
    job_uuid: str, status: JobStatus, at: datetime, metadata: StatusMetadata | None
) -> None:
    StatusChange.objects.create(
        job_id=job_uuid,
        status=status.value,
        at=at,
        metadata=metadata.model_dump_json(exclude_none=True) if metadata else "",
    )
    update = StatusUpdate(uuid=job_uuid, status=status, metadata=metadata)
    outbox.put(FACILITATOR, job_uuid, encode(update))
    JOB_MOVES.labels("validator", status.value).inc()
    log.info("job moved", job=job_uuid, status=status.value)

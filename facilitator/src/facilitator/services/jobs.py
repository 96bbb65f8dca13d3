"""Jobs: submitted, moved forward, ended. A status is assigned in `move` alone."""

import uuid
from datetime import datetime, timedelta

import structlog
from django.db import IntegrityError, transaction

from compute_horde_common.contrib.django import outbox
from compute_horde_common.contrib.django.mailbox import wake_on_commit
from compute_horde_common.jobs.failures import HordeFailure, HordeFailureReason, Participant
from compute_horde_common.jobs.lifecycle import IllegalMove, JobStatus, advance
from compute_horde_common.protocol.facilitator_validator import StatusMetadata, StatusUpdate
from compute_horde_common.telemetry.metrics import FAILURES, JOB_MOVES
from facilitator.domain.refusals import Conflict, JobUnknown, NoValidator
from facilitator.domain.submissions import Submission, frame_of, later, run_seconds
from facilitator.models import Job, StatusChange
from facilitator.services import fleet
from facilitator.services.topics import job_topic

ENDED_AT_ONCE = 500
EVICTED_AT_ONCE = 1000

log = structlog.get_logger(__name__)


def submit(wanted: Submission, *, answer_limit: float, at: datetime) -> Job:
    """The job that a submission makes, or made when it came before.

    Args:
        wanted: what to run.
        answer_limit: seconds within which the validator must receive it.
        at: now.

    Raises:
        NoValidator: its validator is unknown or not connected.
        Conflict: its key stands for another request, or its signature for somebody else's job.
        Malformed: it is too large for the validator.
    """
    if not fleet.is_connected(wanted.target, at):
        made = _made_before(wanted)
        if made is None:
            raise NoValidator(
                f"Validator {wanted.target} is unknown or not connected, choose another one."
            )
        return made
    try:
        return _create(wanted, later(at, answer_limit), at)
    except IntegrityError:
        made = _made_before(wanted)
        if made is None:
            raise
        return made


@transaction.atomic
def move(
    job_uuid: uuid.UUID,
    to: JobStatus,
    at: datetime,
    metadata: StatusMetadata | None = None,
    *,
    validator: str | None = None,
) -> None:
    """Moves a job to a status.

    Args:
        job_uuid: which job.
        to: where it is now.
        at: now.
        metadata: what there is to say about it.
        validator: who says so; only the job's own validator may.

    Raises:
        JobUnknown: there is no such job of this validator.
        IllegalMove: it was there before, has ended, or somebody else moved it meanwhile.
    """
    job = Job.objects.filter(uuid=job_uuid).only("status", "validator_id", "run_seconds").first()
    if job is None or validator not in {None, job.validator_id}:
        raise JobUnknown("there is no such job of this validator")
    now = JobStatus(job.status)
    advance(now, to)
    changes: dict[str, object] = {"status": to.value, "last_update": at}
    if to.is_end:
        changes["deadline"] = None
    elif now is JobStatus.SENT:
        changes["deadline"] = later(at, job.run_seconds)
    if not Job.objects.filter(uuid=job_uuid, status=now.value).update(**changes):
        raise IllegalMove(now, to)
    _note(job_uuid, to, at, metadata)
    if now is JobStatus.SENT:
        outbox.withdraw(fleet.mailbox_of(job.validator_id), str(job_uuid))
    if to.is_end:
        outbox.withdraw(fleet.control_mailbox_of(job.validator_id), str(job_uuid))


def record(update: StatusUpdate, *, validator: str, at: datetime) -> None:
    """Takes over what a validator says about one of its jobs; errors as of `move`."""
    try:
        job_uuid = uuid.UUID(update.uuid)
    except ValueError:
        raise JobUnknown("this is no job's uuid") from None
    move(job_uuid, update.status, at, update.metadata, validator=validator)


def end_overdue(at: datetime) -> int:
    """Ends the jobs whose validators said nothing in time; how many."""
    overdue = Job.objects.filter(deadline__lte=at).order_by("deadline")
    ended = 0
    for job in overdue.only("uuid", "status", "validator_id")[:ENDED_AT_ONCE]:
        failure = _silence(job)
        try:
            move(job.uuid, failure.status, at, StatusMetadata.of_failure(failure))
        except IllegalMove:
            continue
        FAILURES.labels("facilitator", failure.reason, "").inc()
        log.warning("job overdue", job=str(job.uuid), validator=job.validator_id)
        ended += 1
    return ended


def evict(at: datetime, days: int) -> int:
    """Deletes old jobs that have ended, some at a time; how many."""
    old = Job.objects.filter(created_at__lt=at - timedelta(days=days), deadline=None)
    chosen = list(old.values_list("uuid", flat=True)[:EVICTED_AT_ONCE])
    Job.objects.filter(uuid__in=chosen).delete()
    return len(chosen)


@transaction.atomic
def _create(wanted: Submission, deadline: datetime, at: datetime) -> Job:
    job_uuid = uuid.uuid4()
    frame = frame_of(str(job_uuid), wanted)
    job = Job.objects.create(
        uuid=job_uuid,
        hotkey=wanted.hotkey,
        validator_id=wanted.target,
        status=JobStatus.SENT.value,
        executor_class=wanted.spec.executor_class,
        docker_image=wanted.spec.docker_image,
        on_trusted_miner=wanted.spec.on_trusted_miner,
        namespace=wanted.namespace,
        tag=wanted.tag,
        spec=wanted.spec.model_dump_json(),
        signature=wanted.signature.model_dump_json(),
        signature_identity=wanted.signature.identity,
        idempotency_key=wanted.key,
        fingerprint=wanted.fingerprint,
        run_seconds=run_seconds(wanted.spec),
        deadline=deadline,
        created_at=at,
        last_update=at,
    )
    _note(job_uuid, JobStatus.SENT, at, None)
    outbox.put(fleet.mailbox_of(wanted.target), str(job_uuid), frame)
    return job


def _made_before(wanted: Submission) -> Job | None:
    by_key = (
        Job.objects.filter(hotkey=wanted.hotkey, idempotency_key=wanted.key).first()
        if wanted.key
        else None
    )
    if by_key is not None:
        if by_key.fingerprint != wanted.fingerprint:
            raise Conflict("This Idempotency-Key was used for another request.")
        return by_key
    by_signature = Job.objects.filter(signature_identity=wanted.signature.identity).first()
    if by_signature is not None and by_signature.hotkey != wanted.hotkey:
        raise Conflict("This signature was used for somebody else's job.")
    return by_signature


def _note(
    job_uuid: uuid.UUID, status: JobStatus, at: datetime, metadata: StatusMetadata | None
) -> None:
    StatusChange.objects.create(
        job_id=job_uuid,
        status=status.value,
        metadata=metadata.model_dump_json(exclude_none=True) if metadata else "",
        at=at,
    )
    wake_on_commit(job_topic(job_uuid))
    transaction.on_commit(JOB_MOVES.labels("facilitator", status.value).inc)
    log.info("job moved", job=str(job_uuid), status=status.value)


def _silence(job: Job) -> HordeFailure:
    received = job.status != JobStatus.SENT.value
    told = "did not report the job's end" if received else "did not receive the job"
    return HordeFailure(
        reported_by=Participant.FACILITATOR,
        reason=HordeFailureReason.UNHANDLED_TIMEOUT,
        message=f"the validator {told} in time",
        context={"last_status": job.status},
    )

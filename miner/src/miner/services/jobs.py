"""What happens to jobs. Everything said to a validator about a job is first a row here, and is
said again to whoever resumes the job, until the validator gives the finished receipt."""

import json
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from compute_horde_common.contrib.django.mailbox import wake_on_commit
from compute_horde_common.jobs.failures import HordeFailure, RejectionReason
from compute_horde_common.protocol.base import encode
from compute_horde_common.protocol.signatures import hex_verified, request_text
from compute_horde_common.protocol.validator_miner import (
    AcceptedReceipt,
    AcceptJob,
    DeclineJob,
    FinishedReceipt,
    GenericError,
    HordeFailed,
    OfferJob,
    StartJob,
)
from compute_horde_common.telemetry import metrics
from miner.config import config
from miner.domain import admission
from miner.domain.admission import SignatureState
from miner.domain.progress import ENDING, JobState, OutOfOrder, Step, after
from miner.domain.slots import lease_end, run_deadline, spin_up_deadline, start_deadline
from miner.models import Executor, Job, JobMessage
from miner.services import receipts, subnet
from miner.services.leases import free_slot, lease_slot
from miner.services.topics import FLEET, executor_topic, job_topic, validator_topic
from miner.wiring import verify

log = structlog.get_logger(__name__)

SOCKET_LEASE = timedelta(seconds=45)
"""A socket that has not been seen for so long is dead, with the process that held it."""
KEEP_MESSAGES = timedelta(hours=1)
KEEP_JOBS = timedelta(days=2)
_BATCH = 16


@dataclass(frozen=True, slots=True)
class Attached:
    """The job is ours; what is said about it goes to the socket that asked."""

    job_uuid: str


@dataclass(frozen=True, slots=True)
class News:
    """What was said about a job after a position, up to the next one. ``over``: no more comes."""

    texts: tuple[str, ...]
    position: int
    over: bool


def take(
    offer: OfferJob, text: str, *, validator: str, socket: str, at: datetime
) -> Attached | DeclineJob | GenericError:
    """Answers an offer: at once, whether an executor is up or not. The same offer again resumes
    the job on another socket.

    Args:
        offer: the frame.
        text: the same, as it came; its signature covers that.
        validator: who makes it.
        socket: our name for the socket that it came on.
        at: now.
    """
    known = Job.objects.filter(job_uuid=offer.job_uuid).first()
    if known is not None:
        return _resume(known, validator, socket, at)
    if (impossible := admission.offer_fault(offer)) is not None:
        return GenericError(details=impossible)
    decline = admission.decide(
        blacklisted=subnet.is_blacklisted(validator),
        signature=_signature_state(text, validator),
        required=config.require_validator_signature,
        receipt_fault=receipts.fault_of_started(offer, validator, at),
    )
    if decline is not None:
        metrics.REFUSALS.labels("miner", decline.reason).inc()
        return DeclineJob(job_uuid=offer.job_uuid, reason=decline.reason, message=decline.message)
    try:
        job = _accept(offer, text, validator=validator, socket=socket, at=at)
    except IntegrityError:
        return take(offer, text, validator=validator, socket=socket, at=at)
    if job is None:
        metrics.REFUSALS.labels("miner", RejectionReason.BUSY).inc()
        return DeclineJob(
            job_uuid=offer.job_uuid,
            reason=RejectionReason.BUSY,
            message="no executor of this class is free",
            receipts=receipts.excuses(offer),
        )
    return Attached(offer.job_uuid)


@transaction.atomic
def _accept(offer: OfferJob, text: str, *, validator: str, socket: str, at: datetime) -> Job | None:
    """The job with a slot of its own; None if there is no slot."""
    job = Job(
        job_uuid=uuid.UUID(offer.job_uuid),
        validator=validator,
        executor_class=offer.executor_class,
        state=JobState.ACCEPTED,
        offer=text,
        accepted_at=at,
        deadline=spin_up_deadline(offer.executor_class, at),
        last_activity=at,
        messages_said=1,
        socket=socket,
        socket_seen=at,
    )
    if not lease_slot(job, lease_end(offer, at)):
        return None
    said = AcceptJob(job_uuid=offer.job_uuid)
    JobMessage.objects.create(
        job=job, position=1, kind=type(said).__name__, text=encode(said), said_at=at
    )
    receipts.store(offer.job_started_receipt_payload, offer.job_started_receipt_signature, at)
    metrics.JOB_MOVES.labels("miner", JobState.ACCEPTED).inc()
    log.info("job accepted", job=offer.job_uuid, validator=validator)
    return job


def _resume(job: Job, validator: str, socket: str, at: datetime) -> Attached | GenericError:
    if job.validator != validator:
        return GenericError(details=f"job {job.job_uuid} is not yours")
    Job.objects.filter(id=job.id).update(socket=socket, socket_seen=at)
    wake_on_commit(job_topic(job.job_uuid))
    log.info("job resumed", job=str(job.job_uuid), state=job.state)
    return Attached(str(job.job_uuid))


def _signature_state(text: str, validator: str) -> SignatureState:
    frame = json.loads(text)
    signature = frame.get("validator_signature")
    if signature is None:
        return SignatureState.ABSENT
    if hex_verified(validator, request_text(frame), str(signature), verify):
        return SignatureState.GOOD
    return SignatureState.BAD


@transaction.atomic
def start(start_job: StartJob, text: str, *, validator: str, at: datetime) -> str | None:
    """Passes a job to its executor; what is wrong with it, or None. A second time changes
    nothing."""
    if (unsigned := _signature_fault(text, validator)) is not None:
        return unsigned
    job = _lock(Job.objects.all(), start_job.job_uuid)
    if job is None or job.validator != validator:
        return f"job {start_job.job_uuid} is not known here"
    if job.start or job.ended_at is not None:
        return None
    offer = OfferJob.model_validate_json(job.offer)
    if (fault := admission.start_fault(start_job, offer)) is not None:
        return fault
    try:
        _move(job, start_job, at)
    except OutOfOrder as wrong:
        return str(wrong)
    job.start = text
    job.deadline = run_deadline(offer, at)
    job.save(update_fields=["state", "last_activity", "start", "deadline"])
    for token in Executor.objects.filter(job=job).values_list("token", flat=True):
        wake_on_commit(executor_topic(token))
    return None


def _signature_fault(text: str, validator: str) -> str | None:
    state = _signature_state(text, validator)
    if state is SignatureState.BAD:
        return "validator_signature does not verify"
    if state is SignatureState.ABSENT and config.require_validator_signature:
        return "validator_signature is required here"
    return None


@transaction.atomic
def say(job_uuid: str, message: Step, at: datetime) -> None:
    """Takes down what a job's executor said about it, for the validator.

    Raises:
        OutOfOrder: it cannot be said now.
    """
    job = _locked(job_uuid)
    if job is None:
        raise OutOfOrder(JobState.ENDED, message)
    _move(job, message, at)
    if job.state == JobState.READY:
        job.deadline = start_deadline(at)
    _add_message(job, message, at)
    if isinstance(message, ENDING):
        _mark_ended(job, _outcome(message), at)
        free_slot(job, at)
    job.save()


@transaction.atomic
def end(job_uuid: str, failure: HordeFailure, at: datetime) -> bool:
    """Ends a job that its executor did not end; false if it had ended already."""
    job = _locked(job_uuid)
    if job is None or job.ended_at is not None:
        return False
    message = HordeFailed.of(job_uuid, failure)
    _move(job, message, at)
    _add_message(job, message, at)
    _mark_ended(job, _outcome(message), at)
    job.abandoned = True
    job.save()
    log.warning("job ended by miner", job=job_uuid, reason=failure.reason)
    return True


def note_accepted(receipt: AcceptedReceipt, *, validator: str, at: datetime) -> None:
    """Stores a receipt for a job that we took; a bad one is ignored."""
    if (fault := _receipt_fault(receipt, validator, at)) is not None:
        log.warning("accepted receipt ignored", job=receipt.payload.job_uuid, fault=fault)
        return
    receipts.store(receipt.payload, receipt.signature, at)


def close(receipt: FinishedReceipt, *, validator: str, at: datetime) -> None:
    """Stores a job's last receipt, and forgets what was said about the job: nobody asks for it
    any more. A job that still runs is ended. A bad receipt is ignored."""
    if (fault := _receipt_fault(receipt, validator, at)) is not None:
        log.warning("finished receipt ignored", job=receipt.payload.job_uuid, fault=fault)
        return
    _close(receipt, at)


@transaction.atomic
def _close(receipt: FinishedReceipt, at: datetime) -> None:
    job = _locked(receipt.payload.job_uuid)
    if job is None or job.closed_at is not None:
        return
    if job.ended_at is None:
        job.state = JobState.ENDED
        job.abandoned = True
        _mark_ended(job, "given up by the validator", at)
    job.closed_at = at
    job.save()
    JobMessage.objects.filter(job=job).delete()
    wake_on_commit(job_topic(job.job_uuid))
    receipts.store(receipt.payload, receipt.signature, at)


def _receipt_fault(
    receipt: AcceptedReceipt | FinishedReceipt, validator: str, at: datetime
) -> str | None:
    if not Job.objects.filter(job_uuid=receipt.payload.job_uuid, validator=validator).exists():
        return "no such job of this validator"
    return receipts.fault_of_later(receipt, validator, at)


def news(job_uuid: str, position: int, socket: str | None, at: datetime) -> News:
    """What was said about a job after ``position``.

    Args:
        job_uuid: the job.
        position: of the last message that was passed on.
        socket: whose news these are; once the job is another socket's, there are none. None for
            a socket that merely listens.
        at: now; the socket lives.
    """
    job = Job.objects.filter(job_uuid=job_uuid).values("id", "socket", "closed_at").first()
    if job is None or job["closed_at"] is not None or socket not in {None, job["socket"]}:
        return News((), position, over=True)
    if socket is not None:
        stale = at - SOCKET_LEASE / 3
        Job.objects.filter(id=job["id"], socket_seen__lt=stale).update(socket_seen=at)
    rows = list(
        JobMessage.objects.filter(job_id=job["id"], position__gt=position)
        .order_by("position")
        .values_list("position", "text")[:_BATCH]
    )
    reached = rows[-1][0] if rows else position
    return News(tuple(text for _, text in rows), reached, over=False)


def detach(socket: str) -> None:
    """Notes that a socket is gone."""
    for job in Job.objects.filter(socket=socket, closed_at=None):
        if Job.objects.filter(id=job.id, socket=socket).update(socket="", socket_seen=None):
            wake_on_commit(validator_topic(job.validator))


def without_socket(validator: str, at: datetime) -> list[str]:
    """A validator's jobs that nobody listens to."""
    jobs = Job.objects.filter(validator=validator, closed_at=None)
    dead = jobs.exclude(socket_seen__gte=at - SOCKET_LEASE)
    return [str(found) for found in dead.values_list("job_uuid", flat=True)]


def forget_old(at: datetime) -> int:
    """Deletes messages an hour after a job's end, and jobs after two days; how many jobs."""
    JobMessage.objects.filter(job__ended_at__lt=at - KEEP_MESSAGES).delete()
    Job.objects.filter(ended_at__lt=at - KEEP_MESSAGES, closed_at=None).update(closed_at=at)
    return Job.objects.filter(ended_at__lt=at - KEEP_JOBS, slot=None).delete()[0]


def _locked(job_uuid: str) -> Job | None:
    """Without its frames, which may be large, and are not written back then."""
    return _lock(Job.objects.defer("offer", "start"), job_uuid)


def _lock(among: QuerySet[Job], job_uuid: str) -> Job | None:
    return among.select_for_update(no_key=True).filter(job_uuid=job_uuid).first()


def _move(job: Job, step: Step, at: datetime) -> None:
    """The one place where a job's state changes, but for its closing."""
    following = after(JobState(job.state), step)
    if following != job.state:
        metrics.JOB_MOVES.labels("miner", following).inc()
        log.info("job moved", job=str(job.job_uuid), state=following)
    job.state = following
    job.last_activity = at


def _add_message(job: Job, message: Step, at: datetime) -> None:
    job.messages_said += 1
    if job.closed_at is None:
        JobMessage.objects.create(
            job=job,
            position=job.messages_said,
            kind=type(message).__name__,
            text=encode(message),
            said_at=at,
        )
    wake_on_commit(job_topic(job.job_uuid))


def _mark_ended(job: Job, outcome: str, at: datetime) -> None:
    job.ended_at = at
    job.last_activity = at
    job.outcome = outcome[:300]
    wake_on_commit(FLEET)
    for token in Executor.objects.filter(job=job).values_list("token", flat=True):
        wake_on_commit(executor_topic(token))


def _outcome(message: Step) -> str:
    reason = getattr(message, "reason", None)
    return f"{reason}: {getattr(message, 'message', '')}" if reason else "finished"

"""What happens to jobs. Everything said to a validator about a job is first a row here, and is
said again to whoever resumes the job, until the validator gives the finished receipt."""

import json
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from compute_horde_common.contrib.django import serving
from compute_horde_common.contrib.django.mailbox import wake_on_commit
from compute_horde_common.jobs.failures import HordeFailure, RejectionReason
from compute_horde_common.protocol.base import encode
from compute_horde_common.protocol.live import CANCEL_SECONDS
from compute_horde_common.protocol.signatures import hex_verified, request_text
from compute_horde_common.protocol.validator_miner import (
    AcceptedReceipt,
    AcceptJob,
    DeclineJob,
    FinishedReceipt,
    GenericError,
    HordeFailed,
    JobFailedReport,
    OfferJob,
    StartJob,
)
from compute_horde_common.telemetry import metrics
from miner.config import config
from miner.domain import admission
from miner.domain.admission import SignatureState
from miner.domain.progress import ENDING, JobState, OutOfOrder, Step, after, cancelled
from miner.domain.slots import (
    ExecutorState,
    lease_end,
    run_deadline,
    spin_up_deadline,
    start_deadline,
)
from miner.models import Executor, Job, JobMessage
from miner.services import messages, receipts, subnet
from miner.services.leases import free_slot, lease_slot
from miner.services.topics import FLEET, executor_topic, job_topic
from miner.wiring import verify

log = structlog.get_logger(__name__)

CANCEL_LIMIT = timedelta(seconds=CANCEL_SECONDS - 3)
"""How long an executor may take to report a cancellation: less than our validator gives us."""
KEEP_MESSAGES = timedelta(hours=1)
FETCHED_WITHIN = timedelta(seconds=60)
"""A validator that is there has fetched a result by then; one that is not is not waited for."""
KEEP_JOBS = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Attached:
    """The job is ours; what is said about it goes to the socket that asked."""

    job_uuid: str


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
        why_not = _accept(offer, text, validator=validator, socket=socket, at=at)
    except IntegrityError:
        return take(offer, text, validator=validator, socket=socket, at=at)
    if why_not is not None:
        metrics.REFUSALS.labels("miner", RejectionReason.BUSY).inc()
        return DeclineJob(
            job_uuid=offer.job_uuid,
            reason=RejectionReason.BUSY,
            message=why_not,
            receipts=receipts.excuses(offer),
        )
    return Attached(offer.job_uuid)


@transaction.atomic
def _accept(offer: OfferJob, text: str, *, validator: str, socket: str, at: datetime) -> str | None:
    """Gives the job a slot of its own; else why it cannot be taken now, which is no fault of ours:
    the published validators know no other word for that than busy."""
    if not serving.may_take_work():
        return "this miner takes no new jobs now"
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
        return "no executor of this class is free"
    said = AcceptJob(job_uuid=offer.job_uuid)
    JobMessage.objects.create(
        job=job, position=1, kind=type(said).__name__, text=encode(said), said_at=at
    )
    receipts.store(offer.job_started_receipt_payload, offer.job_started_receipt_signature, at)
    metrics.JOB_MOVES.labels("miner", JobState.ACCEPTED).inc()
    log.info("job accepted", job=offer.job_uuid, validator=validator)
    return None


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
    if job.start or job.ended_at is not None or job.cancel_requested_at is not None:
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
    _wake_executor(job)
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
    if job.state == JobState.READY and job.cancel_requested_at is None:
        job.deadline = start_deadline(at)
    messages.add(job, message, at)
    if isinstance(message, ENDING):
        _mark_ended(job, _outcome(message), at)
        free_slot(job, at)
    job.save()


@transaction.atomic
def cancel(job_uuid: str, *, validator: str, at: datetime) -> str | None:
    """Ends a job as its author asked; what is wrong with that, or None.

    An executor that can be told is, and has `CANCEL_LIMIT` to report; with any other the job ends
    now. A second time changes nothing.
    """
    job = _locked(job_uuid)
    if job is None or job.validator != validator:
        return f"job {job_uuid} is not known here"
    if job.ended_at is not None or job.cancel_requested_at is not None:
        return None
    log.info("job cancelled by its author", job=job_uuid, state=job.state)
    job.cancel_requested_at = at
    job.deadline = min(job.deadline, at + CANCEL_LIMIT)
    job.save(update_fields=["cancel_requested_at", "deadline"])
    listening = Executor.objects.filter(job=job, state=ExecutorState.ASSIGNED, job_control=True)
    if listening.exists():
        _wake_executor(job)
    else:
        _abandon(job, _cancelled(job), at)
    return None


@transaction.atomic
def end(job_uuid: str, failure: HordeFailure, at: datetime) -> bool:
    """Ends a job that its executor did not end; false if it had ended already. One that was to be
    cancelled is cancelled with that, whatever else went wrong."""
    job = _locked(job_uuid)
    if job is None or job.ended_at is not None:
        return False
    asked = job.cancel_requested_at is not None
    _abandon(job, _cancelled(job) if asked else HordeFailed.of(job_uuid, failure), at)
    return True


def _abandon(job: Job, message: HordeFailed | JobFailedReport, at: datetime) -> None:
    _move(job, message, at)
    messages.add(job, message, at)
    _mark_ended(job, _outcome(message), at)
    job.abandoned = True
    job.save()
    log.warning("job ended by miner", job=str(job.job_uuid), reason=message.reason)


def _cancelled(job: Job) -> JobFailedReport:
    return JobFailedReport.of(str(job.job_uuid), cancelled(JobState(job.state)))


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


def still_open(at: datetime) -> list[str]:
    """What runs, and what ran and may yet be fetched by its validator; oldest first, for people."""
    running = Q(ended_at=None)
    unfetched = Q(closed_at=None, ended_at__gt=at - FETCHED_WITHIN)
    rows = Job.objects.filter(running | unfetched).order_by("accepted_at")
    return [
        f"{job_uuid} {state if ended_at is None else 'ended, not fetched by its validator yet'}"
        for job_uuid, state, ended_at in rows.values_list("job_uuid", "state", "ended_at")
    ]


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


def _mark_ended(job: Job, outcome: str, at: datetime) -> None:
    job.ended_at = at
    job.last_activity = at
    job.outcome = outcome[:300]
    wake_on_commit(FLEET)
    _wake_executor(job)


def _wake_executor(job: Job) -> None:
    for token in Executor.objects.filter(job=job).values_list("token", flat=True):
        wake_on_commit(executor_topic(token))


def _outcome(message: Step) -> str:
    reason = getattr(message, "reason", None)
    return f"{reason}: {getattr(message, 'message', '')}" if reason else "finished"

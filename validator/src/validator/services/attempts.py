"""A job on a miner: chosen, offered, followed and closed. An open attempt's row is all that is
needed to take the job up again after a restart."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Count

from compute_horde_common.jobs.failures import Failure, JobFailed
from compute_horde_common.jobs.lifecycle import JobStatus
from compute_horde_common.jobs.timing import Deadline
from compute_horde_common.jobs.volumes import combined
from compute_horde_common.protocol.base import encode
from compute_horde_common.protocol.facilitator_validator import StatusMetadata
from compute_horde_common.protocol.receipts import JobStartedReceiptPayload, sign_receipt
from compute_horde_common.protocol.signatures import Signer, hex_signed, request_text
from compute_horde_common.protocol.validator_miner import (
    TRUSTED_MINER_HOTKEY,
    AcceptedReceipt,
    ExecutorTiming,
    FinishedReceipt,
    OfferJob,
    StartJob,
)
from validator.domain.assignments import (
    WORTHLESS,
    Assignment,
    JobCase,
    Terms,
    no_trusted_miner,
)
from validator.domain.phases import Budget, Phase, Progress
from validator.domain.routing import (
    Choice,
    Miner,
    Obstacle,
    TieBreak,
    candidates,
    least_recently_used,
)
from validator.models import Attempt
from validator.models.jobs import plain
from validator.services import jobs, receipts, subnet

OFFER_TIMEOUT_SECONDS = 300
"""Read only by miners that know no stage limits."""
GRACE_SECONDS = 10
ROUTING_LOCK = 0x0C0DE
FAREWELL_LIFETIME = timedelta(hours=1)
"""For so long a miner keeps what it has to say about a job that ended."""


@dataclass(frozen=True, slots=True)
class Farewell:
    """A finished receipt that its miner does not have yet."""

    attempt: int
    miner_hotkey: str
    host: str
    port: int
    receipt: FinishedReceipt


@transaction.atomic
def assign(
    case: JobCase,
    terms: Terms,
    signer: Signer,
    at: datetime,
    tie_break: TieBreak = least_recently_used,
) -> Assignment | Choice:
    """The job on the best miner for it; a `Choice` without one when none fits now.

    Raises:
        JobFailed: it is for a trusted miner, and there is none.
    """
    tried = Attempt.objects.filter(job_id=case.uuid).values_list("miner_hotkey", flat=True)
    if case.spec.on_trusted_miner:
        choice = _trusted(terms, set(tried))
    else:
        with connection.cursor() as cursor:
            # Two jobs that are routed at once must not both see the same executor free.
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ROUTING_LOCK])
        choice = candidates(
            subnet.miners(allow_private=terms.allow_private),
            case.spec.executor_class,
            _busy(case.spec.executor_class),
            at,
            tie_break=tie_break,
            tried=set(tried),
        )
    if not choice.fit:
        return choice
    return _open(case, choice.fit[0], terms, signer, at)


def resume(case: JobCase, terms: Terms, at: datetime) -> Assignment | None:
    """The job on the miner that it is on; ``None`` if it is on none.

    A deadline that passed while nobody looked is put off by `GRACE_SECONDS`: the miner may have
    the result.
    """
    row = Attempt.objects.filter(job_id=case.uuid, ended_at=None).first()
    if row is None:
        return None
    progress = None
    if row.deadline is not None:
        grace = Deadline.starting(at, GRACE_SECONDS)
        progress = Progress(Phase(row.phase), Deadline(max(row.deadline, grace.at)))
    return Assignment(
        attempt=row.pk,
        case=case,
        miner_hotkey=row.miner_hotkey,
        host=row.host,
        port=row.port,
        offer=OfferJob.model_validate_json(row.offer),
        budget=_budget(case, terms),
        started_at=row.started_at,
        progress=progress,
        counts=subnet.counts_of(row.miner_hotkey),
    )


@transaction.atomic
def record(
    job: Assignment,
    status: JobStatus,
    progress: Progress,
    at: datetime,
    *,
    metadata: StatusMetadata | None = None,
    receipt: AcceptedReceipt | None = None,
) -> None:
    """Stores how far a job has come on its miner. A status that an earlier miner had reached is
    not reported again."""
    Attempt.objects.filter(pk=job.attempt, ended_at=None).update(
        phase=progress.phase.value, deadline=progress.deadline.at
    )
    if receipt is not None:
        receipts.keep(receipt.payload, receipt.signature)
    jobs.move(job.case.uuid, status, at, metadata)


@transaction.atomic
def complete(
    job: Assignment, result: StatusMetadata, signer: Signer, at: datetime
) -> FinishedReceipt:
    """Ends a job that went well; returns the receipt that the miner is to get."""
    receipt = _close(job, "completed", receipts.finished(job, signer, at, job.score), at)
    jobs.move(job.case.uuid, JobStatus.COMPLETED, at, result)
    return receipt


@transaction.atomic
def give_up(job: Assignment, failure: Failure, signer: Signer, at: datetime) -> FinishedReceipt:
    """Ends the attempt, not the job; returns the receipt that the miner is to get."""
    receipt = receipts.finished(job, signer, at, WORTHLESS)
    return _close(job, str(failure.reason), receipt, at)


def abandon(job: Assignment, failure: Failure, at: datetime) -> None:
    """Ends an attempt whose offer never reached the miner."""
    _end(job, str(failure.reason), at, farewell="")


def said_farewell(attempt: int) -> None:
    """Notes that the miner has got its finished receipt."""
    Attempt.objects.filter(pk=attempt).update(farewell="")


def farewells_due(at: datetime) -> list[Farewell]:
    """The finished receipts that could not be sent yet, and whose miner still waits for them."""
    rows = Attempt.objects.exclude(farewell="").filter(ended_at__gt=at - FAREWELL_LIFETIME)
    return [
        Farewell(
            attempt=row.pk,
            miner_hotkey=row.miner_hotkey,
            host=row.host,
            port=row.port,
            receipt=FinishedReceipt.model_validate_json(row.farewell),
        )
        for row in rows
    ]


def signed_start(start: StartJob, signer: Signer) -> StartJob:
    """The job with the validator's signature."""
    frame = json.loads(encode(start))
    return start.model_copy(update={"validator_signature": _frame_signature(frame, signer)})


def tries(job_uuid: str) -> int:
    """On how many miners a job was tried."""
    return Attempt.objects.filter(job_id=job_uuid).count()


def _trusted(terms: Terms, tried: set[str]) -> Choice:
    if terms.trusted_miner is None:
        raise JobFailed(no_trusted_miner())
    miner = Miner(TRUSTED_MINER_HOTKEY, terms.trusted_miner.host, terms.trusted_miner.port)
    if miner.hotkey in tried:
        return Choice(passed_over={miner.hotkey: Obstacle.TRIED})
    return Choice(fit=(miner,))


def _busy(executor_class: str) -> dict[str, int]:
    rows = Attempt.objects.filter(ended_at=None, executor_class=executor_class)
    counted = rows.order_by().values_list("miner_hotkey").annotate(Count("id"))
    return dict(counted)


def _open(case: JobCase, miner: Miner, terms: Terms, signer: Signer, at: datetime) -> Assignment:
    budget = _budget(case, terms)
    offer = signed_offer(case, miner.hotkey, budget, signer, at)
    row = Attempt.objects.create(
        job_id=case.uuid,
        miner_hotkey=miner.hotkey,
        host=miner.host,
        port=miner.port,
        executor_class=case.spec.executor_class,
        started_at=at,
        offer=encode(offer),
    )
    receipts.keep(offer.job_started_receipt_payload, offer.job_started_receipt_signature)
    if miner.hotkey != TRUSTED_MINER_HOTKEY:
        subnet.note_offer(miner.hotkey, at)
    return Assignment(
        attempt=row.pk,
        case=case,
        miner_hotkey=miner.hotkey,
        host=miner.host,
        port=miner.port,
        offer=offer,
        budget=budget,
        started_at=at,
        counts=miner.manifest.counts if miner.manifest else None,
    )


def signed_offer(
    case: JobCase, miner_hotkey: str, budget: Budget, signer: Signer, at: datetime
) -> OfferJob:
    spec = case.spec
    started = JobStartedReceiptPayload(
        job_uuid=case.uuid,
        miner_hotkey=miner_hotkey,
        validator_hotkey=signer.ss58,
        timestamp=at,
        executor_class=spec.executor_class,
        is_organic=True,
        ttl=budget.reservation,
    )
    offer = OfferJob(
        job_uuid=case.uuid,
        executor_class=spec.executor_class,
        docker_image=spec.docker_image,
        timeout_seconds=OFFER_TIMEOUT_SECONDS,
        volume=combined(spec.volumes),
        job_started_receipt_payload=started,
        job_started_receipt_signature=sign_receipt(started, signer),
        streaming_details=spec.streaming_details,
        executor_timing=ExecutorTiming.of(budget.limits),
    )
    frame = json.loads(encode(offer))
    return offer.model_copy(update={"validator_signature": _frame_signature(frame, signer)})


def _frame_signature(frame: dict[str, object], signer: Signer) -> str:
    return hex_signed(request_text(frame), signer)


def _budget(case: JobCase, terms: Terms) -> Budget:
    return Budget.of(case.spec, reservation=terms.reservation, startup=terms.startup)


def _close(
    job: Assignment, outcome: str, receipt: FinishedReceipt, at: datetime
) -> FinishedReceipt:
    receipts.keep(receipt.payload, receipt.signature)
    _end(job, outcome, at, farewell=encode(receipt))
    return receipt


def _end(job: Assignment, outcome: str, at: datetime, *, farewell: str) -> None:
    # The offer may carry a megabyte of inline input, and is of no use any more.
    Attempt.objects.filter(pk=job.attempt, ended_at=None).update(
        ended_at=at, outcome=plain(outcome, 200), offer="", farewell=farewell
    )

"""The receipts that the validator gives, signed and kept."""

from datetime import datetime, timedelta

from compute_horde_common.contrib.django import receipt_pages
from compute_horde_common.contrib.django.models import StoredReceipt
from compute_horde_common.protocol.receipts import (
    MAX_TIME_TOOK_US,
    MAX_TTL_SECONDS,
    JobAcceptedReceiptPayload,
    JobFinishedReceiptPayload,
    ReceiptPayload,
    sign_receipt,
)
from compute_horde_common.protocol.signatures import Signer
from compute_horde_common.protocol.validator_miner import AcceptedReceipt, FinishedReceipt
from validator.domain.assignments import Assignment

LIFETIME = timedelta(days=2)
MICROSECOND = timedelta(microseconds=1)


def accepted(job: Assignment, signer: Signer, at: datetime) -> AcceptedReceipt:
    """The receipt for a miner's acceptance."""
    payload = JobAcceptedReceiptPayload(
        job_uuid=job.case.uuid,
        miner_hotkey=job.miner_hotkey,
        validator_hotkey=signer.ss58,
        timestamp=at,
        time_accepted=at,
        ttl=min(job.budget.occupied, MAX_TTL_SECONDS),
    )
    return AcceptedReceipt(payload=payload, signature=sign_receipt(payload, signer))


def finished(job: Assignment, signer: Signer, at: datetime, score: str) -> FinishedReceipt:
    """The receipt for the end of a job on a miner; ``score`` in executor-seconds."""
    took = max(0, (at - job.started_at) // MICROSECOND)
    payload = JobFinishedReceiptPayload(
        job_uuid=job.case.uuid,
        miner_hotkey=job.miner_hotkey,
        validator_hotkey=signer.ss58,
        timestamp=at,
        time_started=job.started_at,
        time_took_us=min(took, MAX_TIME_TOOK_US),
        score_str=score,
    )
    return FinishedReceipt(payload=payload, signature=sign_receipt(payload, signer))


def keep(payload: ReceiptPayload, signature: str) -> None:
    """Stores our copy. Of a job that was tried on several miners, the last one's counts."""
    StoredReceipt.objects.filter(
        receipt_type=payload.receipt_type, job_uuid=payload.job_uuid
    ).delete()
    receipt_pages.keep(payload, signature)


def forget_old(at: datetime) -> int:
    """Deletes receipts older than `LIFETIME`; returns how many."""
    return StoredReceipt.objects.filter(timestamp__lt=at - LIFETIME).delete()[0]

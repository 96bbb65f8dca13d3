"""Receipts that validators give us: verified, signed by us as well, stored and published. A
trusted miner has no key to sign with, and keeps none."""

from datetime import datetime, timedelta

from django.db.models import DurationField, ExpressionWrapper, F, Value

from compute_horde_common.contrib.django.models import StoredReceipt
from compute_horde_common.contrib.django.receipt_pages import publish
from compute_horde_common.protocol.receipts import (
    JobAcceptedReceiptPayload,
    JobFinishedReceiptPayload,
    JobStartedReceiptPayload,
    Receipt,
    receipt_verified,
    sign_receipt,
)
from compute_horde_common.protocol.validator_miner import AcceptedReceipt, FinishedReceipt, OfferJob
from miner.config import config
from miner.domain.admission import later_receipt_fault, started_receipt_fault
from miner.wiring import address, signer, verify

MOST_EXCUSES = 256
KEEP = timedelta(days=2)

Payload = JobStartedReceiptPayload | JobAcceptedReceiptPayload | JobFinishedReceiptPayload


def fault_of_started(offer: OfferJob, validator: str, at: datetime) -> str | None:
    """What is wrong with an offer's receipt."""
    if config.is_local_miner:
        return None
    fault = started_receipt_fault(offer, validator=validator, miner=address(), at=at)
    payload, signature = offer.job_started_receipt_payload, offer.job_started_receipt_signature
    if fault is None and not receipt_verified(payload, validator, signature, verify):
        return "its signature does not verify"
    return fault


def fault_of_later(
    receipt: AcceptedReceipt | FinishedReceipt, validator: str, at: datetime
) -> str | None:
    """What is wrong with a receipt about a job that we took."""
    if config.is_local_miner:
        return None
    fault = later_receipt_fault(receipt.payload, validator=validator, miner=address(), at=at)
    if fault is None and not receipt_verified(
        receipt.payload, validator, receipt.signature, verify
    ):
        return "its signature does not verify"
    return fault


def store(payload: Payload, validator_signature: str, at: datetime) -> None:
    """Signs, stores and publishes a receipt that was found to be good."""
    ours = signer()
    if ours is None:
        return
    receipt = Receipt(
        payload=payload,
        validator_signature=validator_signature,
        miner_signature=sign_receipt(payload, ours),
    )
    publish(receipt, at)


def excuses(offer: OfferJob) -> list[Receipt]:
    """Receipts of the jobs of a class that keep us busy at the time of an offer."""
    asked = offer.job_started_receipt_payload.timestamp
    lifetime = ExpressionWrapper(
        F("ttl") * Value(timedelta(seconds=1), output_field=DurationField()),
        output_field=DurationField(),
    )
    rows = (
        StoredReceipt.objects.filter(
            receipt_type="JobStartedReceipt",
            is_organic=True,
            executor_class=offer.executor_class,
            timestamp__lte=asked,
        )
        .exclude(job_uuid=offer.job_uuid)
        .exclude(miner_signature=None)
        .annotate(lifetime=lifetime)
        .filter(timestamp__gte=Value(asked) - F("lifetime"))
        .order_by("-timestamp")
        .values_list("line", flat=True)[:MOST_EXCUSES]
    )
    return [Receipt.model_validate_json(line) for line in rows]


def forget_old(at: datetime) -> int:
    """Deletes receipts that are older than anybody asks for; how many."""
    return StoredReceipt.objects.filter(stored_at__lt=at - KEEP).delete()[0]

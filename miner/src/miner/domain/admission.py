"""Who is let in, and which offers are taken. Signatures are checked elsewhere; what came of it
arrives here as a fact."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Literal

from pydantic import ValidationError

from compute_horde_common.jobs.failures import RejectionReason
from compute_horde_common.jobs.timing import Limits
from compute_horde_common.protocol.receipts import (
    JobAcceptedReceiptPayload,
    JobFinishedReceiptPayload,
    JobStartedReceiptPayload,
)
from compute_horde_common.protocol.validator_miner import (
    AUTH_WINDOW_SECONDS,
    Authenticate,
    OfferJob,
    StartJob,
)

RECEIPT_LEEWAY_SECONDS = 120
"""How old a started receipt may be on top of its own validity: validators that cannot connect at
once try for about a minute. The same into the future, for clocks that differ."""

Code = Literal["TOKEN_TOO_OLD", "UNKNOWN_VALIDATOR", "VALIDATOR_INACTIVE"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a validator is not let in; ``code`` where the protocol has one."""

    details: str
    code: Code | None = None


class SignatureState(Enum):
    """What came of looking at a request's signature."""

    ABSENT = auto()
    GOOD = auto()
    BAD = auto()


@dataclass(frozen=True, slots=True)
class Decline:
    """An offer that is not taken."""

    reason: RejectionReason
    message: str


def authentication_fault(
    said: Authenticate, *, validator: str, miner: str | None, at: datetime
) -> Refusal | None:
    """What is wrong with an authentication, apart from its signature.

    Args:
        said: the frame.
        validator: the hotkey that the validator came with.
        miner: our hotkey; None where it is not compared.
        at: now.
    """
    if abs(at.timestamp() - said.timestamp) > AUTH_WINDOW_SECONDS:
        return Refusal(
            f"the authentication's timestamp is not within {AUTH_WINDOW_SECONDS} s of our clock",
            "TOKEN_TOO_OLD",
        )
    if said.validator_hotkey != validator:
        return Refusal("the authentication is another validator's")
    if miner is not None and said.miner_hotkey != miner:
        return Refusal("the authentication is meant for another miner")
    return None


def decide(
    *, blacklisted: bool, signature: SignatureState, required: bool, receipt_fault: str | None
) -> Decline | None:
    """Why an offer is not taken, if there is a reason other than lack of room."""
    if blacklisted:
        return Decline(RejectionReason.VALIDATOR_BLACKLISTED, "this validator is blacklisted here")
    if signature is SignatureState.BAD:
        return Decline(RejectionReason.INVALID_SIGNATURE, "validator_signature does not verify")
    if signature is SignatureState.ABSENT and required:
        return Decline(RejectionReason.INVALID_SIGNATURE, "validator_signature is required here")
    if receipt_fault is not None:
        return Decline(RejectionReason.INVALID_RECEIPT, f"started receipt: {receipt_fault}")
    return None


def started_receipt_fault(
    offer: OfferJob, *, validator: str, miner: str, at: datetime
) -> str | None:
    """What is wrong with an offer's receipt, apart from its signature."""
    payload = offer.job_started_receipt_payload
    if (fault := _party_fault(payload, validator=validator, miner=miner)) is not None:
        return fault
    if payload.job_uuid != offer.job_uuid:
        return "it is another job's"
    if payload.executor_class != offer.executor_class:
        return "it names another executor class"
    leeway = timedelta(seconds=RECEIPT_LEEWAY_SECONDS)
    if payload.timestamp > at + leeway:
        return "it is from the future"
    if payload.timestamp + timedelta(seconds=payload.ttl) + leeway < at:
        return "it is no longer valid"
    return None


def later_receipt_fault(
    payload: JobAcceptedReceiptPayload | JobFinishedReceiptPayload,
    *,
    validator: str,
    miner: str,
    at: datetime,
) -> str | None:
    """What is wrong with an accepted or finished receipt, apart from its signature."""
    if payload.timestamp > at + timedelta(seconds=RECEIPT_LEEWAY_SECONDS):
        return "it is from the future"
    return _party_fault(payload, validator=validator, miner=miner)


def offer_fault(offer: OfferJob) -> str | None:
    """What makes an offer impossible for any miner: limits out of bounds."""
    if offer.executor_timing is not None:
        try:
            offer.executor_timing.limits()
        except ValidationError as error:
            first = error.errors()[0]
            return f"executor_timing.{'.'.join(map(str, first['loc']))}: {first['msg']}"
        return None
    if offer.timeout_seconds is None:
        return "neither executor_timing nor timeout_seconds is given"
    try:
        Limits(download=0, execution=offer.timeout_seconds, upload=0)
    except ValidationError as error:
        return f"timeout_seconds: {error.errors()[0]['msg']}"
    return None


def start_fault(start: StartJob, offer: OfferJob) -> str | None:
    """Where a job is not the one that was offered."""
    if start.volume is not None and offer.volume is not None:
        return "volume is given both in the offer and in the job"
    if start.executor_class != offer.executor_class:
        return "executor_class is not the one that was offered"
    if offer.docker_image is not None and start.docker_image != offer.docker_image:
        return "docker_image is not the one that was offered"
    return None


def _party_fault(
    payload: JobStartedReceiptPayload | JobAcceptedReceiptPayload | JobFinishedReceiptPayload,
    *,
    validator: str,
    miner: str,
) -> str | None:
    if payload.validator_hotkey != validator:
        return "it is another validator's"
    if payload.miner_hotkey != miner:
        return "it is made out to another miner"
    return None

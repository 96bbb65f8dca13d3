"""The three signed receipts, and what each one proves.

Bounds are those of the published library 0.0.27; a receipt outside them is refused.
"""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from compute_horde_common.jobs.executor_classes import ExecutorClassName
from compute_horde_common.protocol.signatures import (
    Signer,
    Verifier,
    hex_signed,
    hex_verified,
    sorted_text,
)

MAX_TTL_SECONDS = 2_592_000
MAX_TIME_TOOK_US = 31_536_000_000_000
PAGE_SECONDS = 300
_FIRST_YEAR, _LAST_YEAR = 2000, 2099


def canonical_uuid(text: str) -> str:
    """``text`` if it is a UUID in its lower-case, dashed spelling.

    Raises:
        ValueError: it is not.
    """
    if str(UUID(text)) != text:
        raise ValueError("must be a lower-case UUID with dashes")
    return text


def _this_century(when: datetime) -> datetime:
    if not _FIRST_YEAR <= when.year <= _LAST_YEAR:
        raise ValueError(f"year must be {_FIRST_YEAR} to {_LAST_YEAR}")
    return when


CanonicalUuid = Annotated[str, AfterValidator(canonical_uuid)]
Moment = Annotated[AwareDatetime, AfterValidator(_this_century)]
Ttl = Annotated[int, Field(ge=0, le=MAX_TTL_SECONDS)]


class _Payload(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    job_uuid: CanonicalUuid
    miner_hotkey: str
    validator_hotkey: str
    timestamp: Moment


class JobStartedReceiptPayload(_Payload):
    """The validator asked this miner for an executor; valid for ``ttl`` seconds."""

    receipt_type: Literal["JobStartedReceipt"] = "JobStartedReceipt"
    executor_class: ExecutorClassName
    is_organic: bool
    ttl: Ttl


class JobAcceptedReceiptPayload(_Payload):
    """The miner took the job and is busy with it for at most ``ttl`` seconds."""

    receipt_type: Literal["JobAcceptedReceipt"] = "JobAcceptedReceipt"
    time_accepted: Moment
    ttl: Ttl


class JobFinishedReceiptPayload(_Payload):
    """The job is over. ``score_str`` is what it is worth, in executor-seconds, six decimals;
    ``block_numbers`` are the allowance blocks that pay for it."""

    receipt_type: Literal["JobFinishedReceipt"] = "JobFinishedReceipt"
    time_started: Moment
    time_took_us: int = Field(ge=0, le=MAX_TIME_TOOK_US)
    score_str: str = Field(pattern=r"^[0-9]+(\.[0-9]+)?$", max_length=256)
    block_numbers: list[Annotated[int, Field(ge=0, le=1 << 32)]] = Field(
        default=[], max_length=10_000
    )


ReceiptPayload = Annotated[
    JobStartedReceiptPayload | JobAcceptedReceiptPayload | JobFinishedReceiptPayload,
    Field(discriminator="receipt_type"),
]


class Receipt(BaseModel):
    """A receipt that both sides signed, as it is stored and served."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    payload: ReceiptPayload
    validator_signature: str
    miner_signature: str


def sign_receipt(payload: BaseModel, signer: Signer) -> str:
    """The signer's ``0x``-hex signature of a receipt."""
    return hex_signed(sorted_text(payload), signer)


def receipt_verified(payload: BaseModel, ss58: str, signature: str, verify: Verifier) -> bool:
    """Whether that hotkey signed that receipt."""
    return hex_verified(ss58, sorted_text(payload), signature, verify)

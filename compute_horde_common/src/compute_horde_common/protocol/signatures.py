"""Canonical bytes, and who signs them. A message is data; signing is done here.

The live network signs a job's fields as JSON text that is JSON-encoded once more. That form is
in `double_encoded` and nowhere else.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from compute_horde_common.jobs.spec import JobSpec

JOB_SIGNATURE_MAX_AGE_SECONDS = 600
JOB_SIGNATURE_MAX_AHEAD_SECONDS = 60
SIGNATURE_BYTES = 64


class Signer(Protocol):
    """Somebody who holds a hotkey."""

    @property
    def ss58(self) -> str:
        """The hotkey's public address."""
        ...

    def sign(self, data: bytes) -> bytes:
        """The 64-byte sr25519 signature of ``data``."""
        ...


Verifier = Callable[[str, bytes, bytes], bool]
"""``verify(ss58, data, signature)``: whether that hotkey signed that data. Never raises."""


class BadSignature(ValueError):
    """A signature that is missing, malformed, too old or somebody else's."""


class Signature(BaseModel):
    """A signature as it travels: over BLAKE2b-512 of the time (8 bytes, big-endian nanoseconds)
    followed by the payload."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    signature_type: str = ""
    signatory: str = ""
    timestamp_ns: int = 0
    signature: str
    signature_scope: Literal["SignedFields", "FullRequest"] = "SignedFields"

    def raw(self) -> bytes:
        """The 64 bytes.

        Raises:
            BadSignature: it is not the base64 of 64 bytes.
        """
        try:
            raw = base64.b64decode(self.signature, validate=True)
        except (binascii.Error, ValueError):
            raise BadSignature("the signature is not base64") from None
        if len(raw) != SIGNATURE_BYTES:
            raise BadSignature(f"the signature has {len(raw)} bytes, not {SIGNATURE_BYTES}")
        return raw

    @property
    def identity(self) -> str:
        """The same text for the same signature, whatever headers or spelling it came in."""
        return hashlib.sha256(self.raw()).hexdigest()


def double_encoded(text: str) -> bytes:
    """The live network's form of a signed text: its JSON string literal, ASCII only."""
    return json.dumps(text).encode()


def digest(timestamp_ns: int, payload: bytes) -> bytes:
    """What is signed for a payload at a time: BLAKE2b-512, 64 bytes.

    Raises:
        BadSignature: the time does not fit into 8 bytes.
    """
    if not 0 <= timestamp_ns < 1 << 64:
        raise BadSignature("the signature's timestamp is out of range")
    return hashlib.blake2b(timestamp_ns.to_bytes(8, "big") + payload).digest()


def job_payload(spec: JobSpec) -> bytes:
    """What the author of a job signs (scope ``SignedFields``)."""
    text = json.dumps(spec.model_dump(mode="json"), separators=(",", ":"), ensure_ascii=False)
    return double_encoded(text)


def cheat_report_payload(job_uuid: str, trusted_job_uuid: str, details: Any) -> bytes:  # noqa: ANN401 - any JSON
    """What the author of a cheat report signs (scope ``FullRequest``)."""
    body = {"job_uuid": job_uuid, "trusted_job_uuid": trusted_job_uuid, "details": details}
    return double_encoded(json.dumps(body, sort_keys=True))


def signed(
    payload: bytes,
    signer: Signer,
    *,
    timestamp_ns: int,
    scope: Literal["SignedFields", "FullRequest"] = "SignedFields",
) -> Signature:
    """The signer's signature of a payload at a time."""
    raw = signer.sign(digest(timestamp_ns, payload))
    return Signature(
        signature_type="bittensor",
        signatory=signer.ss58,
        timestamp_ns=timestamp_ns,
        signature=base64.b64encode(raw).decode(),
        signature_scope=scope,
    )


def check(signature: Signature, payload: bytes, verify: Verifier) -> None:
    """Passes when the signatory signed this payload.

    Raises:
        BadSignature: it did not.
    """
    if not verify(signature.signatory, digest(signature.timestamp_ns, payload), signature.raw()):
        raise BadSignature("the signature does not match the request and its signatory")


def check_age(signature: Signature, now_ns: int) -> None:
    """Passes when the signature was made within the last ten minutes.

    Raises:
        BadSignature: it is older, or from the future by more than clocks may differ.
    """
    age = (now_ns - signature.timestamp_ns) / 1e9
    if age > JOB_SIGNATURE_MAX_AGE_SECONDS:
        raise BadSignature(
            f"the signature is {age:.0f} s old; at most {JOB_SIGNATURE_MAX_AGE_SECONDS} s"
            " are allowed. Sign the request anew, and check this machine's clock"
        )
    if age < -JOB_SIGNATURE_MAX_AHEAD_SECONDS:
        raise BadSignature(
            f"the signature is {-age:.0f} s in the future. Check this machine's clock"
        )


def hex_signed(text: str, signer: Signer) -> str:
    """``0x`` and the hex signature of a text's UTF-8 bytes."""
    return "0x" + signer.sign(text.encode()).hex()


def hex_verified(ss58: str, text: str, signature: str, verify: Verifier) -> bool:
    """Whether that hotkey signed that text; False for anything malformed."""
    try:
        raw = bytes.fromhex(signature.removeprefix("0x"))
    except ValueError:
        return False
    return len(raw) == SIGNATURE_BYTES and verify(ss58, text.encode(), raw)


def sorted_text(value: BaseModel) -> str:
    """JSON with sorted keys, ``", "`` and ``": "``, ASCII only: what receipts are signed as."""
    return json.dumps(value.model_dump(mode="json"), sort_keys=True)


def request_text(frame: dict[str, Any]) -> str:
    """What a validator signs of a job request: the frame without ``validator_signature``,
    keys sorted at every level, compact, ASCII only."""
    unsigned = {name: value for name, value in frame.items() if name != "validator_signature"}
    return json.dumps(unsigned, sort_keys=True, separators=(",", ":"))

"""What a job must be like to be taken, and how long it may take."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from compute_horde_common.jobs.executor_classes import executor_class
from compute_horde_common.jobs.spec import JobSpec
from compute_horde_common.jobs.timing import RESERVATION_SECONDS, STARTUP_SECONDS
from compute_horde_common.protocol.base import encode
from compute_horde_common.protocol.facilitator_validator import MAX_FRAME_TO_VALIDATOR, JobRequest
from compute_horde_common.protocol.rest import JobCreate
from compute_horde_common.protocol.signatures import (
    BadSignature,
    Signature,
    Verifier,
    check,
    check_age,
    job_payload,
)
from facilitator.domain.refusals import Malformed

MINERS_TRIED_SECONDS = 600
"""What a validator may spend on miners that decline or do not come up."""
LONGEST_KEY = 255


@dataclass(frozen=True, slots=True)
class Submission:
    """A job that somebody wants run. ``key`` is the sender's own name for the request; the same
    key, or the same signature, stands for the same job."""

    hotkey: str
    target: str
    spec: JobSpec
    signature: Signature
    namespace: str | None = None
    tag: str = ""
    key: str | None = None

    @property
    def fingerprint(self) -> str:
        """Equal for equal requests, whatever their signatures."""
        told = (self.target, self.namespace, self.tag, self.spec.model_dump_json())
        return hashlib.sha256(repr(told).encode()).hexdigest()


def submission(
    hotkey: str,
    body: JobCreate,
    signature: Signature,
    key: str | None,
    at: datetime,
    verify: Verifier,
) -> Submission:
    """What is asked for, once its signature is good.

    Raises:
        BadSignature: the signature is not the signatory's, too old, or covers something else.
        Malformed: a member that is not signed cannot be stored.
    """
    for name, text in (("tag", body.tag), ("job_namespace", body.job_namespace or "")):
        if "\0" in text:
            raise Malformed({name: ["The text has a NUL in it."]})
    if key is not None and not (
        0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()
    ):
        raise Malformed({"Idempotency-Key": [f"1 to {LONGEST_KEY} printable characters (ASCII)."]})
    if signature.signature_scope != "SignedFields":
        raise BadSignature("a job is signed with X-CH-Signature-Scope: SignedFields")
    check_age(signature, nanoseconds(at))
    spec = body.spec()
    check(signature, job_payload(spec), verify)
    return Submission(
        hotkey, body.target_validator_hotkey, spec, signature, body.job_namespace, body.tag, key
    )


def frame_of(uuid: str, wanted: Submission) -> str:
    """What the validator is sent.

    Raises:
        Malformed: it would be larger than the validator can read.
    """
    frame = encode(JobRequest.of(uuid, wanted.spec, wanted.signature, wanted.namespace))
    size = len(frame.encode())
    if size > MAX_FRAME_TO_VALIDATOR:
        told = (
            f"The job takes {size} bytes as a message to the validator, and at most"
            f" {MAX_FRAME_TO_VALIDATOR} can be sent. Put inline volumes behind a URL."
        )
        raise Malformed({"non_field_errors": [told]})
    return frame


def run_seconds(spec: JobSpec) -> int:
    """The longest time from when a validator received a job until it must have told its end."""
    spin_up = executor_class(spec.executor_class).spin_up_seconds
    before = RESERVATION_SECONDS + spin_up + STARTUP_SECONDS + MINERS_TRIED_SECONDS
    return before + spec.limits.total


def nanoseconds(at: datetime) -> int:
    """Unix time as it stands in signatures."""
    return int(at.timestamp()) * 1_000_000_000 + at.microsecond * 1000


def later(at: datetime, seconds: float) -> datetime:
    """So many seconds after a moment."""
    return at + timedelta(seconds=seconds)

"""How large a job is on its way to a validator, which reads messages up to a limit only.

The facilitator refuses larger ones by the same measure, when they have been sent to it in full.
"""

from typing import Annotated

from compute_horde_common.jobs.spec import JobSpec
from compute_horde_common.protocol.base import encode
from compute_horde_common.protocol.facilitator_validator import MAX_FRAME_TO_VALIDATOR, JobRequest
from compute_horde_common.protocol.signatures import Signature
from compute_horde_sdk._internal.errors import ComputeHordeValidationError

_UUID = "00000000-0000-4000-8000-000000000000"
# As long as any: an ss58 address, 64 bytes in base64, and a time in nanoseconds.
_SIGNATURE = Signature(
    signature_type="bittensor", signatory="5" * 48, timestamp_ns=10**18, signature="A" * 88
)


class _AnyClass(JobRequest):
    """Networks may have other classes than the usual ones."""

    executor_class: Annotated[str, "checked before"]


def refuse_too_large(spec: JobSpec, namespace: str | None, field: str) -> None:
    """Checks that a validator can read the job.

    Raises:
        ComputeHordeValidationError: it cannot; it names ``field``.
    """
    size = len(encode(_AnyClass.of(_UUID, spec, _SIGNATURE, namespace)).encode())
    if size > MAX_FRAME_TO_VALIDATOR:
        raise ComputeHordeValidationError(
            field,
            f"the job takes {size} bytes as a message to the validator, at most"
            f" {MAX_FRAME_TO_VALIDATOR} are allowed; put large inputs behind a URL"
            " (HTTPInputVolume)",
        )

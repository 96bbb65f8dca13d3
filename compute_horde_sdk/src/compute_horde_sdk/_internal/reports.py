"""The report that a miner cheated."""

import json

from compute_horde_common.protocol import signatures
from compute_horde_sdk._internal.errors import ComputeHordeValidationError
from compute_horde_sdk._internal.spec import compact_json


def cheat_report(job_uuid: str, trusted_job_uuid: str, details: object) -> tuple[bytes, bytes]:
    """The report's JSON, and what of it is signed.

    Raises:
        ComputeHordeValidationError: ``details`` is no JSON.
    """
    body = {"job_uuid": job_uuid, "trusted_job_uuid": trusted_job_uuid}
    try:
        evidence = json.loads(json.dumps(details, allow_nan=False))
        content = compact_json({**body, "details": evidence})
    except (TypeError, ValueError, RecursionError) as error:
        raise ComputeHordeValidationError("details", f"must be JSON: {error}") from error
    return content, signatures.cheat_report_payload(**body, details=evidence)

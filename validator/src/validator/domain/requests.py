"""Whether a request that the facilitator relays was made by somebody who may."""

import json
from collections.abc import Collection

from pydantic import ValidationError

from compute_horde_common.jobs.spec import JobSpec
from compute_horde_common.protocol.facilitator_validator import CheatedJob, JobRequest
from compute_horde_common.protocol.signatures import (
    BadSignature,
    Signature,
    Verifier,
    check,
    digest,
    double_encoded,
    job_payload,
)

JOB_SCOPE = "SignedFields"
REPORT_SCOPE = "FullRequest"


def verified_spec(request: JobRequest, allowed: Collection[str], verify: Verifier) -> JobSpec:
    """What the author of a job asks for, once it is certain that they asked for it.

    How old the signature may be is the facilitator's business: it sees the request first.

    Raises:
        BadSignature: unsigned, by somebody who is not allowed, or not about this job.
    """
    signature = _allowed_signature(request.signature, allowed, JOB_SCOPE)
    try:
        spec = request.spec()
    except ValidationError as error:
        raise BadSignature(f"the job breaks the rules: {_first_fault(error)}") from None
    check(signature, job_payload(spec), verify)
    return spec


def check_report(report: CheatedJob, allowed: Collection[str], verify: Verifier) -> None:
    """Passes when a report that a miner cheated was made by somebody who may.

    Both encodings of the live network are taken, with and without a null ``details``.

    Raises:
        BadSignature: none of them verifies.
    """
    signature = _allowed_signature(report.signature, allowed, REPORT_SCOPE)
    raw = signature.raw()
    for payload in _report_payloads(report):
        if verify(signature.signatory, digest(signature.timestamp_ns, payload), raw):
            return
    raise BadSignature("the signature does not match the report and its signatory")


def _allowed_signature(
    signature: Signature | None, allowed: Collection[str], scope: str
) -> Signature:
    if signature is None:
        raise BadSignature("the request is not signed")
    if signature.signature_scope != scope:
        raise BadSignature(f"the signature's scope is not {scope}")
    if signature.signatory not in allowed:
        raise BadSignature(
            f"{signature.signatory[:64]} may not use this validator; its operator can allow it"
        )
    return signature


def _report_payloads(report: CheatedJob) -> list[bytes]:
    names = {"job_uuid", "trusted_job_uuid", "details"}
    body = report.model_dump(mode="json", include=names)
    texts = [json.dumps(body, sort_keys=True)]
    if report.details is None:
        del body["details"]
        texts.append(json.dumps(body, sort_keys=True))
    return [payload for text in texts for payload in (double_encoded(text), text.encode())]


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"

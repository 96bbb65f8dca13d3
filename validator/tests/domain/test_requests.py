import json
from collections.abc import Callable

import pytest

from compute_horde_common.chain.keys import Hotkey, verify
from compute_horde_common.protocol.facilitator_validator import CheatedJob, JobRequest
from compute_horde_common.protocol.signatures import BadSignature, double_encoded, signed
from validator.domain.requests import check_report, verified_spec

MakeRequest = Callable[..., JobRequest]
BODY = {"job_uuid": "a", "trusted_job_uuid": "b"}


def test_a_request_by_an_allowed_signer_is_its_spec(bob: Hotkey, make_request: MakeRequest) -> None:
    request = make_request(bob)

    assert verified_spec(request, {bob.ss58}, verify) == request.spec()


def test_an_unsigned_request_is_refused(bob: Hotkey, make_request: MakeRequest) -> None:
    request = make_request(bob).model_copy(update={"signature": None})

    with pytest.raises(BadSignature, match="not signed"):
        verified_spec(request, {bob.ss58}, verify)


def test_a_stranger_is_refused(alice: Hotkey, bob: Hotkey, make_request: MakeRequest) -> None:
    with pytest.raises(BadSignature, match="may not use"):
        verified_spec(make_request(bob), {alice.ss58}, verify)


def test_a_request_that_was_changed_is_refused(bob: Hotkey, make_request: MakeRequest) -> None:
    request = make_request(bob).model_copy(update={"args": ["false"]})

    with pytest.raises(BadSignature, match="does not match"):
        verified_spec(request, {bob.ss58}, verify)


def test_a_signature_of_another_scope_is_refused(bob: Hotkey, make_request: MakeRequest) -> None:
    request = make_request(bob)
    assert request.signature is not None
    other = request.signature.model_copy(update={"signature_scope": "FullRequest"})

    with pytest.raises(BadSignature, match="scope"):
        verified_spec(request.model_copy(update={"signature": other}), {bob.ss58}, verify)


def test_a_spec_that_breaks_the_rules_is_refused(bob: Hotkey, make_request: MakeRequest) -> None:
    request = make_request(bob).model_copy(update={"docker_image": "not an image"})

    with pytest.raises(BadSignature, match="docker_image"):
        verified_spec(request, {bob.ss58}, verify)


@pytest.mark.parametrize("encode", [double_encoded, str.encode])
@pytest.mark.parametrize("body", [BODY, {**BODY, "details": None}])
def test_a_report_is_taken_in_every_encoding_of_the_live_network(
    bob: Hotkey, encode: Callable[[str], bytes], body: dict[str, str | None]
) -> None:
    payload = encode(json.dumps(body, sort_keys=True))
    signature = signed(payload, bob, timestamp_ns=1, scope="FullRequest")

    check_report(CheatedJob(**BODY, signature=signature), {bob.ss58}, verify)


def test_a_report_about_another_job_is_refused(bob: Hotkey) -> None:
    payload = double_encoded(json.dumps({**BODY, "details": None}, sort_keys=True))
    signature = signed(payload, bob, timestamp_ns=1, scope="FullRequest")

    with pytest.raises(BadSignature):
        check_report(
            CheatedJob(job_uuid="c", trusted_job_uuid="b", signature=signature),
            {bob.ss58},
            verify,
        )

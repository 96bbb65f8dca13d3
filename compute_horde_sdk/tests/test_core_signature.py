"""``compute_horde_core.signature``, against signatures that the published SDK made."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from bittensor_wallet import Keypair

from compute_horde_common.clock import SystemClock
from compute_horde_common.protocol import signatures
from compute_horde_core.signature import (
    BittensorWalletSigner,
    Signature,
    SignatureException,
    SignatureInvalidException,
    SignatureNotFound,
    SignatureScope,
    SignatureTimeoutException,
    SignedFields,
    hash_message_signature,
    signature_from_headers,
    signature_to_headers,
    verify_request,
    verify_signature,
)
from tests.published import ALICE, AT_NS, VECTORS, Vector

URL = "https://facilitator.example/api/v1/jobs/?page=1"


def as_signature(vector: Vector) -> Signature:
    return Signature.model_validate(
        {
            "signature_type": "bittensor",
            "signatory": ALICE,
            "timestamp_ns": AT_NS,
            "signature": vector.signature,
            "signature_scope": vector.scope,
        }
    )


@pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS.keys())
def test_what_the_published_sdk_signed_is_found_genuine(vector: Vector) -> None:
    signature = as_signature(vector)

    assert hash_message_signature(vector.text, signature).hex() == vector.digest
    verify_signature(vector.text, signature)
    with pytest.raises(SignatureInvalidException, match="did not sign"):
        verify_signature(vector.text + " ", signature)


@pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS.keys())
def test_we_sign_what_the_published_sdk_signs(vector: Vector) -> None:
    if vector.scope == "FullRequest":
        payload = signatures.cheat_report_payload(**vector.body)
    else:
        payload = signatures.job_payload(SignedFields.from_facilitator_sdk_json(vector.body))

    assert payload == json.dumps(vector.text).encode()
    assert signatures.digest(AT_NS, payload).hex() == vector.digest


def test_a_signature_survives_its_headers() -> None:
    signature = as_signature(VECTORS["minimal"])

    headers = signature_to_headers(signature, SignatureScope.SignedFields)

    assert headers == {
        "X-CH-Signature-Type": "bittensor",
        "X-CH-Signatory": ALICE,
        "X-CH-Timestamp-NS": str(AT_NS),
        "X-CH-Signature": VECTORS["minimal"].signature,
        "X-CH-Signature-Scope": "SignedFields",
    }
    assert signature_from_headers(headers) == signature
    assert signature_from_headers({name.lower(): text for name, text in headers.items()})
    other = signature_to_headers(signature, SignatureScope.FullRequest, prefix="X-Mine-")
    assert signature_from_headers(other, prefix="X-Mine-").signature == signature.signature


@pytest.mark.parametrize(
    "change",
    [{"X-CH-Signature": None}, {"X-CH-Signature": "%"}, {"X-CH-Timestamp-NS": "soon"}],
    ids=repr,
)
def test_headers_without_a_signature_have_none(change: dict[str, Any]) -> None:
    headers = signature_to_headers(as_signature(VECTORS["minimal"]), SignatureScope.SignedFields)
    left = {name: text for name, text in (headers | change).items() if text is not None}

    with pytest.raises(SignatureNotFound):
        signature_from_headers(left)
    assert verify_request("GET", URL, left) is None


def test_a_whole_request_is_signed_and_checked(keypair: Keypair) -> None:
    signer = BittensorWalletSigner(keypair)
    headers = signature_to_headers(
        signer.signature_for_request("get", URL, {}, {"a": 1}), SignatureScope.FullRequest
    )

    elsewhere = "http://localhost/api/v1/jobs/?page=1"
    found = verify_request("GET", elsewhere, headers, {"a": 1})

    assert found is not None
    assert (found.signatory, found.signature_scope) == (ALICE, "FullRequest")
    with pytest.raises(SignatureInvalidException):
        verify_request("GET", URL, headers, {"a": 2})


@pytest.mark.parametrize("payload", [b"bytes", "text", {"b": 1, "a": [None]}, None], ids=repr)
def test_any_payload_can_be_signed(keypair: Keypair, payload: Any) -> None:  # noqa: ANN401 - any JSON
    signature = BittensorWalletSigner(keypair).sign(payload)

    verify_signature(payload, signature)
    with pytest.raises(SignatureInvalidException):
        verify_signature("another", signature)


@pytest.mark.parametrize("zone", [None, "utc"])
def test_a_signature_may_be_too_old(keypair: Keypair, zone: str | None) -> None:
    signature = BittensorWalletSigner(keypair).sign("text")
    now = SystemClock().now() if zone else datetime.now()  # noqa: DTZ005 - naive is the claim

    verify_signature("text", signature, newer_than=now - timedelta(minutes=1))
    with pytest.raises(SignatureTimeoutException):
        verify_signature("text", signature, newer_than=now + timedelta(minutes=1))


def test_a_signatory_that_is_nobody_signed_nothing(keypair: Keypair) -> None:
    signature = BittensorWalletSigner(keypair).sign("text")
    signature.signatory = "nobody"

    with pytest.raises(SignatureInvalidException, match="malformed"):
        verify_signature("text", signature)


def test_a_body_without_the_signed_fields_is_told() -> None:
    with pytest.raises(SignatureException, match="docker_image"):
        SignedFields.from_facilitator_sdk_json({"args": []})

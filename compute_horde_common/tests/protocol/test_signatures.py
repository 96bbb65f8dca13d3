import json

import pytest

from compute_horde_common.chain.keys import Hotkey, verify
from compute_horde_common.jobs.spec import JobSpec
from compute_horde_common.protocol import rest, signatures
from compute_horde_common.protocol.receipts import receipt_verified, sign_receipt
from compute_horde_common.protocol.signatures import BadSignature, Signature
from compute_horde_common.protocol.validator_miner import OfferJob
from tests.protocol import examples

TIME_NS = 1_750_000_000_123_456_789
MINIMAL = JobSpec(
    executor_class="always_on.llm.a6000",
    docker_image="alpine:3.20",
    use_gpu=True,
    download_time_limit=5,
    execution_time_limit=30,
    upload_time_limit=5,
    streaming_start_time_limit=5,
)


@pytest.fixture
def alice() -> Hotkey:
    return Hotkey.from_uri("//Alice")


def test_the_digest_of_a_minimal_job_is_the_live_networks() -> None:
    digest = signatures.digest(TIME_NS, signatures.job_payload(MINIMAL))

    assert digest.hex() == (
        "1e149fbe8e37cdeb4f4307f4883bbf34236593251e020fb1ab23bc6ffea34e0c"
        "d26007796243ae988c99e6531520cf47895463e5c8cd0363791b9dfd27136e5d"
    )


def test_a_signature_that_the_published_sdk_made_verifies() -> None:
    signature = Signature(
        signature_type="bittensor",
        signatory=examples.USER,
        timestamp_ns=TIME_NS,
        signature="+I5lJPhzNzd2nLlPRIL/j1XJSmS5ycnh2bAokh/zdG9ARPKLbDLoPw7zI8IcoML7FpKF2kEsagEA"
        "edFuZmK2hQ==",
    )

    signatures.check(signature, signatures.job_payload(MINIMAL), verify)


def test_every_member_of_a_job_is_covered(alice: Hotkey) -> None:
    signature = signatures.signed(signatures.job_payload(MINIMAL), alice, timestamp_ns=TIME_NS)
    changes: dict[str, object] = {
        "docker_image": "alpine:3.21",
        "args": ["x"],
        "env": {"A": "b"},
        "use_gpu": False,
        "on_trusted_miner": True,
        "artifacts_dir": "/a",
        "upload_time_limit": 6,
    }

    for member, value in changes.items():
        changed = MINIMAL.model_copy(update={member: value})
        with pytest.raises(BadSignature):
            signatures.check(signature, signatures.job_payload(changed), verify)


def test_the_order_of_variables_is_covered() -> None:
    forth = MINIMAL.model_copy(update={"env": {"A": "1", "B": "2"}})
    back = MINIMAL.model_copy(update={"env": {"B": "2", "A": "1"}})

    assert signatures.job_payload(forth) != signatures.job_payload(back)


def test_a_signature_travels_in_headers(alice: Hotkey) -> None:
    signature = signatures.signed(
        signatures.cheat_report_payload(examples.JOB, examples.OTHER_JOB, None),
        alice,
        timestamp_ns=TIME_NS,
        scope="FullRequest",
    )

    headers = {name.lower(): value for name, value in rest.signature_headers(signature).items()}

    assert rest.signature_from_headers(headers) == signature


@pytest.mark.parametrize(
    ("header", "value", "named"),
    [
        ("X-CH-Signature", "", "X-CH-Signature"),
        ("X-CH-Signature", "no base64", "base64"),
        ("X-CH-Signature", "YWJj", "3 bytes"),
        ("X-CH-Signatory", "", "X-CH-Signatory"),
        ("X-CH-Timestamp-NS", "soon", "X-CH-Timestamp-NS"),
        ("X-CH-Timestamp-NS", "٣", "X-CH-Timestamp-NS"),
        ("X-CH-Signature-Scope", "Some", "Scope"),
    ],
)
def test_a_bad_header_is_named(alice: Hotkey, header: str, value: str, named: str) -> None:
    good = rest.signature_headers(signatures.signed(b"x", alice, timestamp_ns=TIME_NS))

    with pytest.raises(BadSignature, match=named):
        rest.signature_from_headers({**good, header: value})


def test_a_timestamp_beyond_eight_bytes_is_refused() -> None:
    with pytest.raises(BadSignature):
        signatures.digest(1 << 64, b"")


@pytest.mark.parametrize(
    ("age_seconds", "fine"), [(0, True), (599, True), (601, False), (-61, False)]
)
def test_a_signature_is_good_for_ten_minutes(
    alice: Hotkey, *, age_seconds: int, fine: bool
) -> None:
    signature = signatures.signed(b"x", alice, timestamp_ns=TIME_NS)
    now = TIME_NS + age_seconds * 10**9

    if fine:
        signatures.check_age(signature, now)
        return
    with pytest.raises(BadSignature, match="clock"):
        signatures.check_age(signature, now)


def test_a_receipt_verifies_for_its_signer_alone(alice: Hotkey) -> None:
    signature = sign_receipt(examples.FINISHED, alice)
    other = examples.FINISHED.model_copy(update={"score_str": "96.000000"})

    assert receipt_verified(examples.FINISHED, alice.ss58, signature, verify)
    assert not receipt_verified(other, alice.ss58, signature, verify)
    assert not receipt_verified(examples.FINISHED, examples.MINER, signature, verify)
    assert not receipt_verified(examples.FINISHED, alice.ss58, "0xzz", verify)


def test_a_request_is_signed_without_its_own_signature() -> None:
    offer = next(m for m in examples.VALIDATOR_TO_MINER if isinstance(m, OfferJob))
    frame = json.loads(offer.model_dump_json())
    unsigned = {name: value for name, value in frame.items() if name != "validator_signature"}

    assert signatures.request_text(frame) == signatures.request_text(unsigned)
    assert signatures.request_text(frame).startswith('{"docker_image":')

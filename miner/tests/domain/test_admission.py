from datetime import datetime, timedelta

import pytest

from compute_horde_common.chain.keys import Hotkey
from compute_horde_common.jobs.failures import RejectionReason
from compute_horde_common.protocol.validator_miner import ExecutorTiming
from miner.domain.admission import (
    SignatureState,
    authentication_fault,
    decide,
    offer_fault,
    start_fault,
    started_receipt_fault,
)
from tests import examples

VOLUME = {"volume_type": "inline", "contents": ""}


@pytest.mark.parametrize("seconds", [-10, 0, 10])
def test_an_authentication_counts_for_ten_seconds_either_way(
    alice: Hotkey, at: datetime, seconds: int
) -> None:
    said = examples.authenticate(alice, at + timedelta(seconds=seconds))

    assert authentication_fault(said, validator=alice.ss58, miner=examples.BOB, at=at) is None


@pytest.mark.parametrize("seconds", [-11, 11])
def test_an_authentication_of_another_time_is_refused_with_the_protocols_code(
    alice: Hotkey, at: datetime, seconds: int
) -> None:
    said = examples.authenticate(alice, at + timedelta(seconds=seconds))

    fault = authentication_fault(said, validator=alice.ss58, miner=examples.BOB, at=at)

    assert fault is not None
    assert fault.code == "TOKEN_TOO_OLD"


def test_an_authentication_for_another_miner_is_refused(alice: Hotkey, at: datetime) -> None:
    said = examples.authenticate(alice, at, miner_hotkey="0" * 48)

    assert authentication_fault(said, validator=alice.ss58, miner=examples.BOB, at=at)
    assert authentication_fault(said, validator=alice.ss58, miner=None, at=at) is None


def test_another_validators_authentication_is_refused(
    alice: Hotkey, charlie: Hotkey, at: datetime
) -> None:
    said = examples.authenticate(charlie, at)

    assert authentication_fault(said, validator=alice.ss58, miner=examples.BOB, at=at)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"blacklisted": True}, RejectionReason.VALIDATOR_BLACKLISTED),
        ({"signature": SignatureState.BAD}, RejectionReason.INVALID_SIGNATURE),
        (
            {"signature": SignatureState.ABSENT, "required": True},
            RejectionReason.INVALID_SIGNATURE,
        ),
        ({"receipt_fault": "it is wrong"}, RejectionReason.INVALID_RECEIPT),
        ({"signature": SignatureState.ABSENT}, None),
        ({}, None),
    ],
)
def test_an_offer_is_declined_for_its_first_fault(
    facts: dict[str, object], reason: RejectionReason | None
) -> None:
    good = {
        "blacklisted": False,
        "signature": SignatureState.GOOD,
        "required": False,
        "receipt_fault": None,
    }

    decline = decide(**{**good, **facts})  # type: ignore[arg-type]  # test data

    assert (decline.reason if decline else None) == reason


@pytest.mark.parametrize(
    ("receipt", "fault"),
    [
        ({}, None),
        ({"validator_hotkey": "x"}, "it is another validator's"),
        ({"miner_hotkey": "x"}, "it is made out to another miner"),
        ({"job_uuid": "00000000-0000-0000-0000-000000000000"}, "it is another job's"),
        ({"executor_class": "always_on.gpu-24gb"}, "it names another executor class"),
        ({"timestamp": datetime.fromisoformat("2026-01-02T00:00Z")}, "it is from the future"),
        ({"timestamp": datetime.fromisoformat("2025-12-31T23:00Z")}, "it is no longer valid"),
    ],
)
def test_a_started_receipt_must_fit_its_offer(
    alice: Hotkey, at: datetime, receipt: dict[str, object], fault: str | None
) -> None:
    offer = examples.offer(alice, at, receipt=receipt)

    found = started_receipt_fault(offer, validator=alice.ss58, miner=examples.BOB, at=at)

    assert found == fault


@pytest.mark.parametrize(
    ("offered", "given", "fault"),
    [
        ({}, {}, None),
        ({"docker_image": None}, {"docker_image": "alpine"}, None),
        ({"volume": VOLUME}, {}, None),
        ({}, {"volume": VOLUME}, None),
        (
            {"volume": VOLUME},
            {"volume": VOLUME},
            "volume is given both in the offer and in the job",
        ),
        (
            {},
            {"docker_image": "alpine"},
            "docker_image is not the one that was offered",
        ),
        (
            {},
            {"executor_class": "always_on.gpu-24gb"},
            "executor_class is not the one that was offered",
        ),
    ],
)
def test_a_job_must_be_the_one_that_was_offered(
    alice: Hotkey,
    at: datetime,
    offered: dict[str, object],
    given: dict[str, object],
    fault: str | None,
) -> None:
    offer = examples.offer(alice, at, **offered)

    assert start_fault(examples.start(offer, **given), offer) == fault


def test_limits_out_of_bounds_are_named(alice: Hotkey, at: datetime) -> None:
    timing = ExecutorTiming(
        allowed_leeway=5,
        download_time_limit=10,
        execution_time_limit=10**9,
        upload_time_limit=1,
        streaming_start_time_limit=0,
    )

    fault = offer_fault(examples.offer(alice, at, executor_timing=timing))

    assert fault is not None
    assert fault.startswith("executor_timing.execution")


def test_an_offer_without_any_limit_is_refused(alice: Hotkey, at: datetime) -> None:
    assert offer_fault(examples.offer(alice, at, executor_timing=None))
    assert offer_fault(examples.offer(alice, at, executor_timing=None, timeout_seconds=9)) is None

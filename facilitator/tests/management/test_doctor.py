from datetime import timedelta

import pytest

from compute_horde_common.clock import SystemClock
from compute_horde_common.contrib.django.doctor.findings import ok, warn
from facilitator.management.commands import doctor
from facilitator.services import fleet

pytestmark = pytest.mark.django_db

ALICE, BOB = "5Alice", "5Bob"


def test_a_facilitator_that_knows_no_validator_is_warned() -> None:
    assert doctor.validators_are_connected() == warn(
        "none is known",
        "The worker reads them from the chain every minute where BITTENSOR_NETWORK is set;"
        " `python -m django allow_validator SS58` lets one in.",
    )


def test_a_facilitator_without_a_connected_validator_is_warned() -> None:
    fleet.allow(ALICE)
    fleet.connect(ALICE, "1", "1", SystemClock().now() - timedelta(hours=1))

    assert doctor.validators_are_connected() == warn(
        "0 of 1 connected",
        "Jobs wait for one. A validator connects by itself: run doctor there, and check that its"
        " FACILITATOR_URI leads to this machine (FACILITATOR_PORT in .env here).",
    )


def test_connected_validators_are_counted() -> None:
    fleet.allow(ALICE)
    fleet.allow(BOB)
    fleet.connect(ALICE, "1", "1", SystemClock().now())

    assert doctor.validators_are_connected() == ok("1 of 2 connected")

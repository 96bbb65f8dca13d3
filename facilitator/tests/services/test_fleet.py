from datetime import timedelta

import pytest

from facilitator.models import Validator
from facilitator.services import fleet
from tests.scene import ALICE, BOB, MALLORY, connect_bob, now

pytestmark = pytest.mark.django_db


def active() -> set[str]:
    return set(Validator.objects.filter(active=True).values_list("ss58", flat=True))


def test_the_chain_says_who_validates() -> None:
    fleet.store_validators([ALICE.ss58, BOB.ss58])
    fleet.store_validators([BOB.ss58, MALLORY.ss58])

    assert active() == {BOB.ss58, MALLORY.ss58}


def test_an_empty_answer_of_the_chain_changes_nothing() -> None:
    fleet.store_validators([ALICE.ss58])

    fleet.store_validators([])

    assert active() == {ALICE.ss58}


def test_who_comes_back_is_active_again() -> None:
    fleet.store_validators([ALICE.ss58])
    fleet.store_validators([BOB.ss58])
    fleet.store_validators([ALICE.ss58])

    assert active() == {ALICE.ss58}


def test_what_the_operator_says_holds_against_the_chain() -> None:
    fleet.allow(ALICE.ss58)
    fleet.store_validators([BOB.ss58])
    fleet.disallow(BOB.ss58)

    fleet.store_validators([BOB.ss58])

    assert active() == {ALICE.ss58}


def test_a_connection_counts_for_three_minutes_after_a_heartbeat() -> None:
    at = now()
    number = connect_bob(at)
    fleet.beat(number, at + timedelta(seconds=60))

    connected = [
        fleet.is_connected(BOB.ss58, at + timedelta(seconds=later)) for later in (240, 241)
    ]

    assert connected == [True, False]


def test_a_connection_that_was_left_behind_is_forgotten() -> None:
    at = now()
    connect_bob(at)

    assert fleet.forget_connections(at + timedelta(seconds=181)) == 1

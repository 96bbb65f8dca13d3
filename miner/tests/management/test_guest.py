import os
from collections.abc import Iterator

import pytest
from redis import Redis

from compute_horde_common.protocol.signatures import Signer
from miner.domain.admission import Refusal
from miner.management.guest import LET_IN_SECONDS
from miner.models import BlacklistedValidator, Validator
from miner.services import subnet
from miner.wiring import dismiss_guest, is_guest, new_guest

pytestmark = pytest.mark.django_db


@pytest.fixture
def guest() -> Iterator[Signer]:
    invited = new_guest(LET_IN_SECONDS)
    yield invited
    dismiss_guest(invited.ss58)


def _unknown(ss58: str) -> Refusal:
    return Refusal(f"validator {ss58} is not known here", "UNKNOWN_VALIDATOR")


def test_a_guest_is_let_in_without_a_row(guest: Signer) -> None:
    assert subnet.standing(guest.ss58) is None
    assert not Validator.objects.exists()


def test_a_guest_that_was_dismissed_is_not_let_in(guest: Signer) -> None:
    dismiss_guest(guest.ss58)

    assert subnet.standing(guest.ss58) == _unknown(guest.ss58)


def test_a_guest_that_nobody_dismisses_is_let_in_for_a_minute_at_most(guest: Signer) -> None:
    with Redis.from_url(os.environ["REDIS_URL"]) as redis:
        left = redis.ttl(f"miner.guest.{guest.ss58}")

    assert 0 < left <= 60


def test_nothing_but_a_hotkey_can_be_a_guest(guest: Signer) -> None:
    assert [is_guest(text) for text in ("", "*", guest.ss58 + "0")] == [False, False, False]


def test_each_guest_is_another_one(guest: Signer) -> None:
    other = new_guest(LET_IN_SECONDS)
    dismiss_guest(other.ss58)

    assert other.ss58 != guest.ss58
    assert is_guest(guest.ss58)
    assert not BlacklistedValidator.objects.exists()

"""The outbox against PostgreSQL."""

from datetime import UTC, datetime, timedelta

import pytest

from compute_horde_common.contrib.django import outbox
from compute_horde_common.contrib.django.models import Outbox

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LEASE = 10.0

pytestmark = pytest.mark.django_db


def claim(seconds: float = 0, limit: int = 10) -> list[str]:
    at = NOW + timedelta(seconds=seconds)
    return [message.body for message in outbox.claim_due("peer", at, LEASE, limit)]


def put(*bodies: str) -> list[Outbox]:
    return [outbox.put("peer", "job", body) for body in bodies]


def test_messages_are_claimed_in_the_order_in_which_they_were_put() -> None:
    put("first", "second", "third")

    assert (claim(limit=2), claim()) == (["first", "second"], ["third"])


def test_a_claimed_message_is_nobody_elses_until_its_lease_ends() -> None:
    put("once")
    claim()

    assert (claim(LEASE - 1), claim(LEASE)) == ([], ["once"])


def test_attempts_are_counted() -> None:
    put("once")
    claim()
    claim(LEASE)

    assert Outbox.objects.get().attempts == 2


def test_a_confirmed_message_is_gone() -> None:
    (message,) = put("once")
    outbox.confirm(message.id)
    outbox.confirm(message.id)

    assert claim() == []


def test_withdrawing_takes_what_is_about_one_thing_for_one_peer() -> None:
    put("gone")
    outbox.put("peer", "other", "stays")
    outbox.put("stranger", "job", "stays")

    assert outbox.withdraw("peer", "job") == 1
    assert [message.body for message in outbox.pending("peer")] == ["stays"]
    assert len(outbox.pending("stranger")) == 1


def test_a_peer_that_connects_anew_gets_everything_again_in_order() -> None:
    put("first", "second")
    claim()
    outbox.release("peer")

    assert claim() == ["first", "second"]

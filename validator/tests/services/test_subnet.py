from datetime import datetime, timedelta

import pytest

from compute_horde_common.chain.interface import Address, Metagraph, Neuron
from compute_horde_common.chain.keys import Hotkey
from validator.domain.routing import Manifest
from validator.models import Snapshot
from validator.services import subnet

pytestmark = pytest.mark.django_db


def metagraph(*hosts: str, block: int = 1) -> Metagraph:
    neurons = tuple(
        Neuron(uid, f"hot{uid}", "cold", 0.0, Address(host, 80) if host else None, False, 0)
        for uid, host in enumerate(hosts)
    )
    return Metagraph(12, block, "0x", neurons)


def hosts() -> list[str]:
    return [miner.host for miner in subnet.miners(allow_private=True)]


def test_neurons_with_an_address_are_miners(at: datetime) -> None:
    assert subnet.store_metagraph(metagraph("8.8.8.8", ""), at) == 1
    assert hosts() == ["8.8.8.8"]


def test_a_miner_that_left_does_not_serve_any_more(at: datetime) -> None:
    subnet.store_metagraph(metagraph("8.8.8.8", "8.8.4.4"), at)
    subnet.store_metagraph(metagraph("8.8.4.4"), at)

    assert hosts() == ["8.8.4.4"]


def test_an_empty_answer_keeps_the_last_good_set(at: datetime) -> None:
    subnet.store_metagraph(metagraph("8.8.8.8", block=5), at)
    subnet.store_metagraph(metagraph(block=6), at)

    assert (hosts(), Snapshot.objects.get().block) == (["8.8.8.8"], 5)


def test_a_miner_that_never_answered_is_unknown(at: datetime) -> None:
    subnet.store_metagraph(metagraph("8.8.8.8"), at)
    subnet.note_silence("hot0", at)

    assert subnet.miners(allow_private=True)[0].manifest is None


def test_a_miner_that_falls_silent_keeps_what_it_said(at: datetime) -> None:
    subnet.store_metagraph(metagraph("8.8.8.8"), at)
    subnet.store_manifest("hot0", {"always_on.test": 2, "no.such.class": 5}, at)
    subnet.note_silence("hot0", at + timedelta(seconds=5))

    assert subnet.miners(allow_private=True)[0].manifest == Manifest({"always_on.test": 2}, at)


@pytest.mark.parametrize(
    ("host", "dialable"),
    [
        ("8.8.8.8", True),
        ("10.0.0.1", False),
        ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("::1", False),
        ("2606:4700::1111", True),
        ("not-an-address", False),
    ],
)
def test_only_public_addresses_are_dialled(at: datetime, host: str, dialable: bool) -> None:
    subnet.store_metagraph(metagraph(host), at)

    assert subnet.miners(allow_private=False)[0].dialable is dialable


def test_allowing_and_disallowing_say_whether_something_changed(bob: Hotkey) -> None:
    done = [
        subnet.allow(bob.ss58),
        subnet.allow(bob.ss58),
        subnet.disallow(bob.ss58),
        subnet.disallow(bob.ss58),
    ]

    assert done == [True, False, True, False]


def test_only_our_own_hotkey_is_allowed_from_the_start(alice: Hotkey, bob: Hotkey) -> None:
    assert subnet.allowed_signers(alice.ss58, bob.ss58) == {alice.ss58}


def test_a_new_miner_was_never_asked_until_it_answered_or_not(at: datetime) -> None:
    subnet.store_metagraph(metagraph("8.8.8.8"), at)
    before = subnet.somebody_was_never_asked()
    subnet.note_silence("hot0", at)

    assert (before, subnet.somebody_was_never_asked()) == (True, False)

from contextlib import aclosing

import pytest

from compute_horde_common.chain.interface import (
    Address,
    ChainRefused,
    ChainUnreachable,
    Neuron,
    NotRegistered,
)
from compute_horde_common.chain.memory import InMemoryChain

ALICE = Neuron(0, "alice", "cold", 5000.0, None, validator_permit=True, last_update=0)
HERE = Address("127.0.0.2", 8000)


async def test_a_registered_hotkey_has_a_uid() -> None:
    chain = InMemoryChain([ALICE])

    assert (await chain.registration("alice"), await chain.registration("bob")) == (0, None)


async def test_a_block_is_made_every_twelve_seconds() -> None:
    chain = InMemoryChain()
    first = await chain.block_time()

    await chain.mine(2)

    assert (await chain.block_time() - first).total_seconds() == 24


async def test_a_published_axon_is_read_back_once() -> None:
    chain = InMemoryChain([ALICE], hotkey="alice")

    assert await chain.publish_axon(HERE)
    assert not await chain.publish_axon(HERE)
    assert (await chain.metagraph()).by_hotkey()["alice"].axon == HERE


async def test_an_unregistered_hotkey_cannot_publish() -> None:
    with pytest.raises(NotRegistered):
        await InMemoryChain([ALICE], hotkey="bob").publish_axon(HERE)


async def test_an_older_block_shows_what_was_then() -> None:
    chain = InMemoryChain([ALICE])
    await chain.mine()
    chain.set_neurons([])

    assert (await chain.metagraph(0)).neurons == (ALICE,)
    assert (await chain.metagraph()).neurons == ()


async def test_a_block_to_come_is_refused() -> None:
    with pytest.raises(ChainRefused):
        await InMemoryChain().metagraph(1)


async def test_heads_follow_the_blocks() -> None:
    chain = InMemoryChain()

    async with aclosing(chain.heads()) as heads:
        first = await anext(heads)
        await chain.mine(2)
        assert (first.number, (await anext(heads)).number) == (0, 2)


async def test_an_unreachable_chain_answers_nothing() -> None:
    chain = InMemoryChain([ALICE])
    chain.reachable = False

    with pytest.raises(ChainUnreachable):
        await chain.head()

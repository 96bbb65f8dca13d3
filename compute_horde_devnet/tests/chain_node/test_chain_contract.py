"""The production chain code against a node that speaks the chain's own protocol."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from datetime import timedelta

import pytest
from bittensor import RpcSubstrate, ServeAxon, Subtensor

from compute_horde_common.chain.bittensor import BittensorChain, Limits, _translated
from compute_horde_common.chain.interface import (
    Address,
    ChainRefused,
    ChainUnreachable,
    Hyperparameters,
    Metagraph,
    Neuron,
    NotRegistered,
    RuntimeMismatch,
    chain_validators,
)
from compute_horde_common.chain.keys import Hotkey
from compute_horde_common.clock import SystemClock
from tests.chain_node.conftest import (
    ALICE,
    BOB,
    CHARLIE,
    DAVE,
    LIMITS,
    NETUID,
    RunningNode,
)

HERE = Address("127.0.0.2", 8000)
SeenBy = Callable[[Hotkey], BittensorChain]


async def refusal(call: object) -> str:
    with pytest.raises(ChainRefused) as refused:
        await call  # type: ignore[misc]  # any awaitable
    return refused.value.code


async def test_the_metagraph_shows_who_is_registered(chain: BittensorChain) -> None:
    metagraph = await chain.metagraph()

    assert metagraph.neurons == (
        Neuron(0, BOB.ss58, ALICE.ss58, 5000.0, None, validator_permit=True, last_update=0),
        Neuron(1, CHARLIE.ss58, ALICE.ss58, 0.0, None, validator_permit=False, last_update=0),
    )
    assert [neuron.uid for neuron in chain_validators(metagraph)] == [0]


async def test_a_subnet_that_does_not_exist_is_told(node: RunningNode) -> None:
    async with BittensorChain(node.url, 99, limits=LIMITS) as chain:
        assert await refusal(chain.metagraph()) == "subnet_not_exists"


async def test_a_registered_hotkey_has_a_uid(chain: BittensorChain) -> None:
    uid = await chain.register(DAVE.ss58, paid_by=ALICE)

    assert uid == 2
    assert await chain.registration(DAVE.ss58) == 2


@pytest.mark.parametrize("hotkey", [DAVE.ss58, "rubbish", ""])
async def test_others_have_none(chain: BittensorChain, hotkey: str) -> None:
    assert await chain.registration(hotkey) is None


async def test_registering_twice_is_refused(chain: BittensorChain) -> None:
    again = chain.register(CHARLIE.ss58, paid_by=ALICE)

    assert await refusal(again) == "already_exists"


async def test_registering_without_money_is_refused(chain: BittensorChain) -> None:
    assert await refusal(chain.register(DAVE.ss58, paid_by=BOB)) == "insufficient_balance"


async def test_registering_in_no_subnet_is_refused(node: RunningNode) -> None:
    async with BittensorChain(node.url, 99, limits=LIMITS) as chain:
        code = await refusal(chain.register(DAVE.ss58, paid_by=ALICE))

    assert code == "subnet_not_exists"


async def test_a_published_axon_is_read_back(chain: BittensorChain) -> None:
    assert await chain.publish_axon(HERE)

    assert (await chain.metagraph()).by_hotkey()[CHARLIE.ss58].axon == HERE


async def test_an_ipv6_axon_is_read_back(chain: BittensorChain) -> None:
    address = Address("2001:db8::1", 8000)

    assert await chain.publish_axon(address)

    assert (await chain.metagraph()).by_hotkey()[CHARLIE.ss58].axon == address


async def test_an_unchanged_axon_is_not_published_again(chain: BittensorChain) -> None:
    await chain.publish_axon(HERE)

    assert not await chain.publish_axon(HERE)


async def test_many_axons_follow_each_other(chain: BittensorChain) -> None:
    addresses = [Address("127.0.0.2", port) for port in (8001, 8002, 8003)]

    published = await asyncio.gather(*(chain.publish_axon(address) for address in addresses))

    assert published == [True, True, True]


@pytest.mark.parametrize(
    "address",
    [
        Address("0.0.0.0", 8000),
        Address("127.0.0.1", 8000),
        Address("::1", 8000),
        Address("miner.example", 8000),
        Address("127.0.0.2", 0),
        Address("127.0.0.2", 65536),
    ],
)
async def test_an_address_that_nobody_could_use_is_refused(
    chain: BittensorChain, address: Address
) -> None:
    assert await refusal(chain.publish_axon(address)) == "invalid_argument"


async def test_an_unregistered_hotkey_cannot_publish(seen_by: SeenBy) -> None:
    with pytest.raises(NotRegistered):
        await seen_by(DAVE).publish_axon(HERE)


async def test_nobody_cannot_publish(node: RunningNode) -> None:
    async with BittensorChain(node.url, NETUID, limits=LIMITS) as chain:
        assert await refusal(chain.publish_axon(HERE)) == "not_authorized"


async def test_publishing_too_often_is_refused(slow_to_serve_node: RunningNode) -> None:
    async with BittensorChain(slow_to_serve_node.url, NETUID, CHARLIE, limits=LIMITS) as chain:
        await chain.publish_axon(HERE)

        assert await refusal(chain.publish_axon(Address("127.0.0.3", 8000))) == "rate_limited"


async def test_the_librarys_own_serving_takes_other_loopback_addresses(node: RunningNode) -> None:
    class Wallet:
        hotkey = CHARLIE._keypair
        coldkey = coldkeypub = ALICE._keypair

    async with Subtensor(node.url) as library:
        served = await library.execute(
            ServeAxon(netuid=NETUID, ip="127.0.0.2", port=9000), Wallet()
        )
        refused = await library.execute(
            ServeAxon(netuid=NETUID, ip="127.0.0.1", port=9000), Wallet()
        )

    assert served.success
    assert refused.error is not None
    assert refused.error.code == "invalid_argument"


async def test_an_older_block_shows_what_was_then(chain: BittensorChain) -> None:
    before = await chain.head()
    await chain.publish_axon(HERE)

    then, now = await chain.metagraph(before.number), await chain.metagraph()

    assert (then.block, then.block_hash) == (before.number, before.hash)
    assert then.by_hotkey()[CHARLIE.ss58].axon is None
    assert now.by_hotkey()[CHARLIE.ss58].axon == HERE


async def test_a_block_to_come_is_refused(chain: BittensorChain) -> None:
    with pytest.raises(ChainRefused):
        await chain.metagraph(1_000_000)


async def test_hyperparameters_are_the_subnets(chain: BittensorChain) -> None:
    assert await chain.hyperparameters() == Hyperparameters(
        tempo=360,
        weights_rate_limit=100,
        serving_rate_limit=0,
        commit_reveal_enabled=False,
        reveal_period_epochs=1,
        immunity_period=4096,
        max_neurons=256,
        min_allowed_weights=1,
    )


async def test_the_newest_block_says_when_it_was_made(chain: BittensorChain) -> None:
    age = SystemClock().now() - await chain.block_time()

    assert timedelta() <= age < timedelta(seconds=10)


async def test_heads_come_one_after_the_other(chain: BittensorChain) -> None:
    async with aclosing(chain.heads()) as heads:
        numbers = [(await anext(heads)).number for _ in range(4)]

    assert numbers == list(range(numbers[0], numbers[0] + 4))


async def test_heads_go_on_after_a_restart(node: RunningNode, chain: BittensorChain) -> None:
    async with aclosing(chain.heads()) as heads:
        await anext(heads)
        await node.stop()
        await node.start()

        async with asyncio.timeout(20):
            restarted = [await anext(heads) for _ in range(3)]

    assert (await chain.metagraph(restarted[-1].number)).block_hash == restarted[-1].hash


async def test_nobody_there_is_unreachable(node: RunningNode, chain: BittensorChain) -> None:
    await node.stop()

    with pytest.raises(ChainUnreachable):
        await chain.head()


async def test_a_lost_node_is_unreachable_until_it_is_back(
    node: RunningNode, chain: BittensorChain
) -> None:
    await chain.metagraph()
    await node.stop()
    with pytest.raises(ChainUnreachable):
        await chain.metagraph()

    await node.start()

    assert isinstance(await chain.metagraph(), Metagraph)
    assert await chain.publish_axon(HERE)


async def test_a_node_that_never_answers_is_unreachable_after_the_limit() -> None:
    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(swallow, "127.0.0.1", 0)
    url = f"ws://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
    async with silent, BittensorChain(url, NETUID, limits=Limits(read=0.3, close=0.3)) as chain:
        with pytest.raises(ChainUnreachable, match=r"within 0\.3 s"):
            await chain.head()


async def test_storage_that_the_runtime_lacks_is_a_mismatch(node: RunningNode) -> None:
    substrate = RpcSubstrate(node.url)
    await substrate.connect()

    with pytest.raises(RuntimeMismatch):
        async with _translated(5):
            await substrate.query("SubtensorModule", "NoSuchThing", [])

    await substrate.close()

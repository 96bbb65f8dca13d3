"""What doctor says of the chain, of our place there, and of our clock by its blocks."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest

from compute_horde_common.chain.bittensor import BittensorChain
from compute_horde_common.clock import HandWoundClock, SystemClock
from compute_horde_common.contrib.django.doctor.findings import Finding, State, fail, ok, warn
from compute_horde_common.contrib.django.doctor.machine import SET_CLOCK, clock_is_right
from compute_horde_common.contrib.django.doctor.subnet import SubnetLook
from tests.chain_node.conftest import ALICE, BOB, CHARLIE, DAVE, LIMITS, NETUID, RunningNode

Look = Callable[..., SubnetLook]


@pytest.fixture
async def look() -> AsyncIterator[Look]:
    async with AsyncExitStack() as looks:

        def at(url: str, netuid: int = NETUID) -> SubnetLook:
            made = SubnetLook(lambda: BittensorChain(url, netuid, limits=LIMITS), url, netuid)
            looks.push_async_callback(made.aclose)
            return made

        yield at


async def test_a_chain_that_answers_is_told_with_its_height(node: RunningNode, look: Look) -> None:
    subnet = look(node.url)

    finding = await subnet.answers()

    block = subnet.metagraph.block
    assert finding == ok(f"subnet 12 of {node.url}: block {block}, 2 neurons")


async def test_a_chain_that_is_away_is_told(node: RunningNode, look: Look) -> None:
    await node.stop()

    finding = await look(node.url).answers()

    assert finding.found.startswith(f"subnet 12 of {node.url}: the chain ")
    assert finding == fail(
        finding.found,
        "Check BITTENSOR_NETWORK, and this machine's way out: its firewall, its DNS.",
    )


async def test_a_subnet_that_does_not_exist_is_told(node: RunningNode, look: Look) -> None:
    finding = await look(node.url, 13).answers()

    assert finding == fail(
        f"subnet 13 of {node.url}: subnet_not_exists: subnet 13 does not exist",
        "Check BITTENSOR_NETUID and BITTENSOR_NETWORK: the subnet is number 12 on finney.",
    )


async def test_a_network_that_nobody_knows_is_told(look: Look) -> None:
    finding = await look("finey").answers()

    assert finding.found.startswith("Unknown network 'finey'.")
    assert finding == fail(
        finding.found, "BITTENSOR_NETWORK is finney, test, or a node's ws:// or wss:// URL."
    )


async def test_a_registered_miner_is_told_its_uid(node: RunningNode, look: Look) -> None:
    subnet = look(node.url)
    await subnet.answers()

    assert await subnet.miner_is_registered(CHARLIE.ss58) == ok("uid 1")


async def test_who_is_not_registered_is_told_how_to_be(node: RunningNode, look: Look) -> None:
    subnet = look(node.url)
    await subnet.answers()
    finding = fail(
        f"hotkey {DAVE.ss58} is not registered in subnet 12 of {node.url}",
        "Register it, on your own machine: `btcli subnet register --netuid 12 --network"
        f" {node.url}`; or check that wallet and network are the ones you mean.",
    )

    assert await subnet.miner_is_registered(DAVE.ss58) == finding
    assert await subnet.validator_counts(DAVE.ss58) == finding


async def test_a_coldkey_in_place_of_the_hotkey_is_told(node: RunningNode, look: Look) -> None:
    subnet = look(node.url)
    await subnet.answers()

    assert await subnet.miner_is_registered(ALICE.ss58) == fail(
        f"{ALICE.ss58} is a coldkey, and owns neurons of subnet 12 of {node.url}",
        "Remove this file from this machine, and put the file of the registered hotkey in its"
        " place. A coldkey must never be on a server.",
    )


async def test_a_validator_with_stake_counts(node: RunningNode, look: Look) -> None:
    subnet = look(node.url)
    await subnet.answers()

    assert await subnet.validator_counts(BOB.ss58) == ok("uid 0, stake 5000, with validator permit")


async def test_a_validator_without_stake_is_warned(node: RunningNode, look: Look) -> None:
    subnet = look(node.url)
    await subnet.answers()

    assert await subnet.validator_counts(CHARLIE.ss58) == warn(
        "uid 1, stake 0: too little for miners and the facilitator to serve it",
        "They serve those with most stake: see to more of it, or, for tests, run"
        " `allow_validator` with this hotkey there.",
    )


async def _off(subnet: SubnetLook, seconds: float) -> Finding:
    """What is found where our clock is off by so much."""
    clock = HandWoundClock(SystemClock().now() + timedelta(seconds=seconds))
    return await clock_is_right(clock, subnet=subnet, urls=())


async def test_a_clock_that_agrees_with_the_newest_block_is_right(
    node: RunningNode, look: Look
) -> None:
    finding = await _off(look(node.url), 0)

    assert finding.state is State.OK
    assert finding.found.endswith(" UTC, as the newest block says")


@pytest.mark.parametrize(
    ("seconds", "state", "what"),
    [
        (-7, State.WARN, "behind the newest block"),
        (-60, State.FAIL, "behind the newest block"),
        (25, State.WARN, "ahead of the newest block"),
        (60, State.FAIL, "ahead of the newest block"),
    ],
)
async def test_a_clock_that_disagrees_with_the_newest_block_is_told(
    node: RunningNode, look: Look, seconds: float, state: State, what: str
) -> None:
    finding = await _off(look(node.url), seconds)

    assert finding.found.endswith(what)
    assert finding == Finding(state, finding.found, SET_CLOCK)


async def test_without_a_chain_nobody_can_be_asked(node: RunningNode, look: Look) -> None:
    await node.stop()

    finding = await _off(look(node.url), 3600)

    assert finding.state is State.OK
    assert finding.found.endswith(" UTC; nobody could be asked")

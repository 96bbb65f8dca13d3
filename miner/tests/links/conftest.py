"""Both of the miner's conversations, over pipe pairs, with PostgreSQL and Redis behind them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import uuid4

import pytest

from compute_horde_common.chain.keys import Hotkey
from compute_horde_common.clock import HandWoundClock, SystemClock
from compute_horde_common.contrib.django.db import in_database
from compute_horde_common.links.link import Link, Pipe
from compute_horde_common.links.memory import pipe_pair
from compute_horde_common.protocol.base import Codec
from compute_horde_common.protocol.miner_executor import ExecutorToMiner, MinerToExecutor
from compute_horde_common.protocol.validator_miner import (
    Manifest,
    MinerToValidator,
    ValidatorToMiner,
)
from miner.links.executor import ExecutorConversation
from miner.links.validator import ValidatorConversation
from miner.services import subnet
from tests import examples, fleet_of_rows

WITHIN = 5.0


@dataclass
class Offers:
    """What the miner says of itself."""

    counts: dict[str, int] = field(default_factory=lambda: {examples.CLASS: 2})

    def manifest(self) -> dict[str, int]:
        return self.counts

    def main_hotkey(self) -> str | None:
        return examples.BOB


@dataclass
class Peer:
    """The other end of a conversation."""

    pipe: Pipe
    link: Link[MinerToValidator, ValidatorToMiner]
    conversation: asyncio.Task[None]

    async def over(self) -> None:
        """Returns once the conversation has ended."""
        async with asyncio.timeout(WITHIN):
            await asyncio.wait({self.conversation})


@dataclass
class ExecutorPeer:
    """The executor's end of its conversation."""

    pipe: Pipe
    link: Link[MinerToExecutor, ExecutorToMiner]
    conversation: asyncio.Task[None]

    async def over(self) -> None:
        """Returns once the conversation has ended."""
        async with asyncio.timeout(WITHIN):
            await asyncio.wait({self.conversation})


Dial = Callable[..., Peer]
DialExecutor = Callable[..., ExecutorPeer]
LetIn = Callable[..., Awaitable[Peer]]


@pytest.fixture
async def conversations(transactional_db: None) -> AsyncIterator[list[Peer | ExecutorPeer]]:
    """All that were begun; they are ended when the test is."""
    begun: list[Peer | ExecutorPeer] = []
    yield begun
    for peer in begun:
        await peer.pipe.close()
        await peer.over()


@pytest.fixture
def dial(hand_wound_clock: HandWoundClock, conversations: list[Peer | ExecutorPeer]) -> Dial:
    """Opens a validator's socket, without a word."""

    def open_socket(validator: Hotkey, *, job_control: bool = False) -> Peer:
        theirs, ours = pipe_pair()
        conversation = ValidatorConversation(
            ours,
            validator.ss58,
            uuid4().hex,
            Offers(),
            hand_wound_clock,
            job_control=job_control,
        )
        link: Link[MinerToValidator, ValidatorToMiner] = Link(
            theirs, Codec(MinerToValidator), clock=SystemClock()
        )
        peer = Peer(theirs, link, asyncio.create_task(conversation.hold()))
        conversations.append(peer)
        return peer

    return open_socket


@pytest.fixture
def let_in(dial: Dial, hand_wound_clock: HandWoundClock) -> LetIn:
    """Opens a validator's socket that is authenticated."""

    async def open_socket(validator: Hotkey, *, job_control: bool = False) -> Peer:
        peer = dial(validator, job_control=job_control)
        await peer.link.send(examples.authenticate(validator, hand_wound_clock.now()))
        await peer.link.expect(Manifest, within=WITHIN)
        return peer

    return open_socket


@pytest.fixture
def dial_executor(
    hand_wound_clock: HandWoundClock, bob: Hotkey, conversations: list[Peer | ExecutorPeer]
) -> DialExecutor:
    """Opens an executor's socket."""

    def open_socket(token: str, *, job_control: bool = False) -> ExecutorPeer:
        theirs, ours = pipe_pair()
        conversation = ExecutorConversation(
            ours, token, "192.0.2.7", bob, hand_wound_clock, job_control=job_control
        )
        link: Link[MinerToExecutor, ExecutorToMiner] = Link(
            theirs, Codec(MinerToExecutor), clock=SystemClock()
        )
        peer = ExecutorPeer(theirs, link, asyncio.create_task(conversation.hold()))
        conversations.append(peer)
        return peer

    return open_socket


@pytest.fixture
async def served(alice: Hotkey, transactional_db: None) -> Hotkey:
    """A validator that the miner serves; there is one slot."""
    await in_database(subnet.let_in)(alice.ss58)
    await in_database(fleet_of_rows.slots)()
    return alice


@pytest.fixture
async def token(served: Hotkey, at: datetime) -> str:
    """An executor that may connect."""
    return await in_database(fleet_of_rows.executor)(at)

"""A subnet that exists in this object only: for unit tests of what calls a `Chain`."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from typing_extensions import override

from compute_horde_common.chain.interface import (
    Address,
    Chain,
    ChainRefused,
    ChainUnreachable,
    Head,
    Hyperparameters,
    Metagraph,
    Neuron,
    NotRegistered,
)

DEFAULT_HYPERPARAMETERS = Hyperparameters(
    tempo=360,
    weights_rate_limit=100,
    serving_rate_limit=50,
    commit_reveal_enabled=False,
    reveal_period_epochs=1,
    immunity_period=4096,
    max_neurons=256,
    min_allowed_weights=1,
)
_BORN = datetime(2026, 1, 1, tzinfo=UTC)
_BLOCK_TIME = timedelta(seconds=12)


class InMemoryChain(Chain):
    """Stands at block 0 until ``mine`` is awaited; ``reachable = False`` makes every call fail."""

    def __init__(
        self, neurons: Iterable[Neuron] = (), *, netuid: int = 12, hotkey: str | None = None
    ) -> None:
        self.netuid = netuid
        self.hotkey = hotkey
        self.reachable = True
        self.closed = False
        self._neurons = tuple(neurons)
        self._history = [self._neurons]
        self._mined = asyncio.Event()

    async def mine(self, blocks: int = 1) -> None:
        """Makes blocks that hold the neurons as they are now."""
        self._history.extend([self._neurons] * blocks)
        self._mined.set()
        self._mined = asyncio.Event()
        await asyncio.sleep(0)

    def set_neurons(self, neurons: Iterable[Neuron]) -> None:
        """What the newest block, and every later one, will show."""
        self._neurons = tuple(neurons)
        self._history[-1] = self._neurons

    @override
    async def head(self) -> Head:
        self._reach()
        return _head(len(self._history) - 1)

    @override
    async def block_time(self) -> datetime:
        self._reach()
        return _BORN + _BLOCK_TIME * (len(self._history) - 1)

    @override
    async def metagraph(self, block: int | None = None) -> Metagraph:
        self._reach()
        number = len(self._history) - 1 if block is None else block
        if not 0 <= number < len(self._history):
            raise ChainRefused("not_found", f"no block at height {number}")
        return Metagraph(self.netuid, number, _head(number).hash, self._history[number])

    @override
    async def hyperparameters(self, block: int | None = None) -> Hyperparameters:
        self._reach()
        return DEFAULT_HYPERPARAMETERS

    @override
    async def registration(self, hotkey: str) -> int | None:
        neuron = (await self.metagraph()).by_hotkey().get(hotkey)
        return neuron.uid if neuron else None

    @override
    async def publish_axon(self, address: Address) -> bool:
        uid = await self.registration(self.hotkey or "")
        if uid is None:
            raise NotRegistered("the hotkey is not registered in the subnet")
        if self._neurons[uid].axon == address:
            return False
        self.set_neurons(
            replace(neuron, axon=address) if neuron.uid == uid else neuron
            for neuron in self._neurons
        )
        return True

    @override
    async def heads(self) -> AsyncGenerator[Head, None]:
        seen = -1
        while True:
            mined = self._mined
            newest = len(self._history) - 1
            if newest == seen or not self.reachable:
                await mined.wait()
                continue
            seen = newest
            yield _head(newest)

    @override
    async def aclose(self) -> None:
        self.closed = True

    def _reach(self) -> None:
        if not self.reachable:
            raise ChainUnreachable("the chain was made unreachable")


def _head(number: int) -> Head:
    return Head(number, f"0x{number:064x}")

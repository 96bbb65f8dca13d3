import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from compute_horde_common.chain.bittensor import BittensorChain, Limits
from compute_horde_common.chain.keys import Hotkey
from compute_horde_devnet.metadata import load_metadata
from compute_horde_devnet.node import Genesis, Rules, serve

NETUID = 12
BLOCK_TIME = 0.05
LIMITS = Limits(read=5, submit=10, close=1, silence=1, longest_pause=0.1)

ALICE = Hotkey.from_uri("//Alice")
"""A coldkey with money."""
BOB = Hotkey.from_uri("//Bob")
"""A registered validator."""
CHARLIE = Hotkey.from_uri("//Charlie")
"""A registered miner."""
DAVE = Hotkey.from_uri("//Dave")
"""Nobody."""

GENESIS = Genesis(
    funds={ALICE.ss58: 10},
    stakes={BOB.ss58: 5000},
    registered=((BOB.ss58, ALICE.ss58), (CHARLIE.ss58, ALICE.ss58)),
)


@dataclass
class RunningNode:
    """A node on a loopback port that can be stopped and started again."""

    genesis: Genesis
    port: int = 0
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def start(self) -> None:
        listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(
            serve(self.genesis, port=self.port, block_time=BLOCK_TIME, ready=listening.set_result)
        )
        self.tasks.append(task)
        either: set[asyncio.Future[Any]] = {task, listening}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        self.port = await listening

    async def stop(self) -> None:
        while self.tasks:
            task = self.tasks.pop()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.fixture(scope="session", autouse=True)
def metadata() -> bytes:
    return load_metadata()


@pytest.fixture(autouse=True)
def runtime_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITTENSOR_RUNTIME_CACHE_DIR", str(tmp_path / "runtime-cache"))


@pytest.fixture
async def node() -> AsyncIterator[RunningNode]:
    running = RunningNode(GENESIS)
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def slow_to_serve_node() -> AsyncIterator[RunningNode]:
    running = RunningNode(
        Genesis(registered=GENESIS.registered, rules=Rules(serving_rate_limit=1000))
    )
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def seen_by(node: RunningNode) -> AsyncIterator[Callable[[Hotkey], BittensorChain]]:
    async with AsyncExitStack() as chains:

        def opened(hotkey: Hotkey) -> BittensorChain:
            chain = BittensorChain(node.url, NETUID, hotkey, limits=LIMITS)
            chains.push_async_callback(chain.aclose)
            return chain

        yield opened


@pytest.fixture
def chain(seen_by: Callable[[Hotkey], BittensorChain]) -> BittensorChain:
    return seen_by(CHARLIE)

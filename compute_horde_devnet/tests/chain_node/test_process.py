"""The node as a process of its own."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from compute_horde_common.chain.bittensor import BittensorChain
from compute_horde_common.chain.interface import Address, Metagraph
from tests.chain_node.conftest import ALICE, BOB, LIMITS, NETUID

COMMAND = [sys.executable, "-m", "compute_horde_devnet.node", "--port", "0", "--block-time", "0.1"]
STOP_SECONDS = 10


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    options = ["--netuid", str(NETUID), "--stake", f"{BOB.ss58}=5000"]
    options += ["--register", f"{BOB.ss58}={ALICE.ss58}", "--fund", f"{ALICE.ss58}=5"]
    with subprocess.Popen(
        [*COMMAND, *options], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as running:
        yield running
        running.terminate()
        running.wait(STOP_SECONDS)


@pytest.fixture
def url(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().split()[-1]


def test_one_object_serves_one_event_loop_after_another(url: str) -> None:
    chain = BittensorChain(url, NETUID, BOB, limits=LIMITS)

    async def published(port: int) -> Metagraph:
        async with chain:
            await chain.publish_axon(Address("127.0.0.2", port))
            return await chain.metagraph()

    asyncio.run(published(8000))
    metagraph = asyncio.run(published(8001))

    assert metagraph.neurons[0].axon == Address("127.0.0.2", 8001)
    assert metagraph.neurons[0].stake == 5000


def test_it_ends_quietly_when_told(process: subprocess.Popen[str], url: str) -> None:
    process.terminate()

    assert process.wait(STOP_SECONDS) == 0


def test_it_is_small(process: subprocess.Popen[str], url: str) -> None:
    assert psutil.Process(process.pid).memory_info().rss < 90 << 20


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--stake", "rubbish=5"], "'rubbish' is not an ss58 address"),
        (["--fund", f"{ALICE.ss58}=much"], "could not convert"),
        (["--register", "nothing"], "not of the form NAME=VALUE"),
        (["--netuid", "0"], "a netuid is a number from 1"),
    ],
)
def test_wrong_options_are_named(options: list[str], complaint: str) -> None:
    done = subprocess.run(
        [*COMMAND, *options], capture_output=True, text=True, check=False, timeout=30
    )

    assert done.returncode != 0
    assert complaint in done.stderr

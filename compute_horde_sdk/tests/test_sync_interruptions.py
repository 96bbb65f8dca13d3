"""What is left when calls of the blocking client end before their time."""

import inspect
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bittensor_wallet import Keypair

from compute_horde_common.clock import SystemClock
from compute_horde_sdk.v1 import ComputeHordeSyncClient
from compute_horde_sdk.v1.local import LocalClient, LocalSyncClient
from tests.conftest import VALIDATOR
from tests.facilitator import Entry, FakeFacilitator

ENDLESS: list[Entry] = ["sent"] * 100_000


@pytest.fixture
def facilitator() -> FakeFacilitator:
    return FakeFacilitator(SystemClock())


@pytest.fixture
def sync_client(facilitator: FakeFacilitator, keypair: Keypair) -> Iterator[ComputeHordeSyncClient]:
    with ComputeHordeSyncClient(
        keypair, VALIDATOR, facilitator_url="http://facilitator", transport=facilitator.transport
    ) as opened:
        yield opened


@pytest.mark.parametrize("what", ["events", "logs"])
def test_an_iterator_that_is_left_early_leaves_no_connection(
    sync_client: ComputeHordeSyncClient, facilitator: FakeFacilitator, what: str
) -> None:
    known = facilitator.add_job(*ENDLESS)
    known.written = ["a", "b"]
    job = sync_client.get_job(known.uuid)
    items = job.events() if what == "events" else job.logs(follow=True)

    next(items)
    were_open = [stream.is_open for stream in facilitator.streams]
    del items

    assert were_open == [True]
    assert [stream.is_open for stream in facilitator.streams] == [False]


def test_a_loop_over_jobs_may_be_broken_off(
    sync_client: ComputeHordeSyncClient, facilitator: FakeFacilitator
) -> None:
    ours = [facilitator.add_job().uuid for _ in range(25)]

    first = next(sync_client.iter_jobs())

    assert first.uuid == ours[0]
    assert facilitator.calls == ["GET /api/v1/jobs/"]


PROGRAM = """
import sys
from bittensor_wallet import Keypair
from compute_horde_common.clock import SystemClock
from compute_horde_sdk.v1 import ComputeHordeSyncClient
from tests.facilitator import FakeFacilitator

facilitator = FakeFacilitator(SystemClock())
uuid = facilitator.add_job(*["sent"] * 100_000).uuid
with ComputeHordeSyncClient(
    Keypair.create_from_uri("//Alice"), "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty",
    facilitator_url="http://facilitator", transport=facilitator.transport,
) as client:
    job = client.get_job(uuid)
    job.wait(status_callback=lambda *_: print("waiting", flush=True))
"""


def test_ctrl_c_ends_a_program_that_waits() -> None:
    program = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PROGRAM],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "waiting\n"

    program.send_signal(signal.SIGINT)
    _, said = program.communicate(timeout=30)

    assert program.returncode == -signal.SIGINT
    assert said.splitlines()[-1] == "KeyboardInterrupt"


def _parameters(function: Callable[..., object]) -> list[tuple[str, str, object]]:
    found = inspect.signature(function).parameters.values()
    return [(each.name, each.kind.name, each.default) for each in found]


def test_both_local_clients_have_the_same_calls() -> None:
    calls = {
        name: _parameters(call)
        for name, call in inspect.getmembers(LocalClient, inspect.isfunction)
        if name != "aclose" and (name == "__init__" or not name.startswith("_"))
    }

    assert {name: _parameters(getattr(LocalSyncClient, name)) for name in calls} == calls

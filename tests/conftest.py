"""One network for all end-to-end tests: two validators, two miners, two trusted miners."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psutil
import pytest

from compute_horde_devnet.network import Network
from compute_horde_devnet.options import NetworkOptions
from compute_horde_devnet.state import NetworkState
from compute_horde_sdk.v1 import (
    ComputeHordeClient,
    ComputeHordeJobSpec,
    ExecutorClass,
)
from tests.hub import hub
from tests.web_server import WebServer

SECONDS = 90
SpecMaker = Callable[..., ComputeHordeJobSpec]


@pytest.fixture(scope="session")
def hub_url() -> Iterator[str]:
    with hub() as url:
        yield url


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory, hub_url: str) -> Iterator[Network]:
    data: Path = tmp_path_factory.mktemp("network")
    options = NetworkOptions(
        data=data,
        validators=2,
        miners=2,
        slots=2,
        trusted=True,
        die_with_parent=True,
        miner_settings={
            # Beside the tests' own class, one that documents' examples ask for.
            "EXECUTOR_SLOTS": "always_on.test=2,always_on.llm.a6000=1",
            "DEBUG_NO_GPU_MODE": "true",
            "EXECUTOR_ENVIRONMENT": f"HF_ENDPOINT={hub_url}",
        },
    )
    started = Network(options, print)
    try:
        started.start()
        yield started
    finally:
        started.stop()


@pytest.fixture
def state(network: Network) -> NetworkState:
    assert network.state is not None
    return network.state


def _client(state: NetworkState, validator: int) -> ComputeHordeClient:
    return ComputeHordeClient(
        hotkey=state.client.wallet.keypair(),
        compute_horde_validator_hotkey=state.validators[validator].hotkey,
        facilitator_url=state.facilitator.url,
    )


@pytest.fixture
async def client(state: NetworkState) -> AsyncIterator[ComputeHordeClient]:
    async with _client(state, 0) as opened:
        yield opened


@pytest.fixture
async def second_client(state: NetworkState) -> AsyncIterator[ComputeHordeClient]:
    """A client of the second validator."""
    async with _client(state, 1) as opened:
        yield opened


@pytest.fixture
def spec(state: NetworkState) -> SpecMaker:
    """Makes specs; the arguments are those of the job spec, with defaults."""

    def make(*args: str, **more: object) -> ComputeHordeJobSpec:
        fields: dict[str, object] = {
            "executor_class": ExecutorClass.always_on__test,
            "job_namespace": "SN12.tests",
            "docker_image": state.image,
            "download_time_limit_sec": 10,
            "execution_time_limit_sec": 20,
            "upload_time_limit_sec": 10,
            "args": list(args),
        }
        return ComputeHordeJobSpec(**{**fields, **more})  # type: ignore[arg-type]  # by name

    return make


@pytest.fixture
async def web() -> AsyncIterator[WebServer]:
    async with WebServer() as server:
        yield server


def executors(network: Network) -> set[int]:
    """The process ids of all running executors."""
    found = set()
    for child in network.children:
        process = child.identity.process()
        if process is None or not child.name.endswith("-fleet"):
            continue
        found |= {executor.pid for executor in process.children() if _is_executor(executor)}
    return found


def _is_executor(process: psutil.Process) -> bool:
    try:
        return "executor" in process.cmdline()
    except psutil.NoSuchProcess:
        return False

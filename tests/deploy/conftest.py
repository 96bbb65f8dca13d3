"""Images, and a network made of them. Fixtures have the names of the other network's, so that its
tests can be run here as well."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from compute_horde_devnet.state import NetworkState
from tests.deploy import images as building
from tests.deploy import servers as rented
from tests.deploy.servers import Servers
from tests.deploy.stack import Stack, gateway, whole_network
from tests.web_server import WebServer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here may talk to what containers talk to."""
    for item in items:
        if "tests/deploy/" in item.nodeid:
            item.add_marker(
                pytest.mark.allow_hosts(["127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"])
            )


@pytest.fixture(scope="session")
def images() -> str:
    """The prefix of the images' names."""
    return building.build()


@pytest.fixture(scope="session")
def containers(
    images: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Stack, NetworkState]]:
    folder: Path = tmp_path_factory.mktemp("compose")
    with whole_network(folder, images) as network:
        yield network


@pytest.fixture(scope="session")
def stack(containers: tuple[Stack, NetworkState]) -> Stack:
    return containers[0]


@pytest.fixture
def state(containers: tuple[Stack, NetworkState]) -> NetworkState:
    return containers[1]


@pytest.fixture
async def web() -> AsyncIterator[WebServer]:
    async with WebServer(gateway()) as server:
        yield server


@pytest.fixture(scope="session")
def servers(images: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Two rented servers; see there."""
    with rented.servers(tmp_path_factory.mktemp("servers"), images) as found:
        yield found

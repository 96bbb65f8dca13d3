import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from compute_horde_common.containers.docker import DockerEngine
from compute_horde_common.containers.python_image import ensure_python_image
from tests.escape.attacker import Attacker
from tests.escape.host import host_state
from tests.escape.neighbour import Neighbour
from tests.stand import Stand


@pytest.fixture(scope="session")
def python_image() -> str:
    async def make() -> str:
        async with DockerEngine() as engine:
            return await ensure_python_image(engine)

    return asyncio.run(make())


@pytest.fixture(autouse=True)
def unharmed_host() -> Iterator[None]:
    """Whatever a test here lets a job try, the host is afterwards as it was."""
    before = host_state()
    yield
    assert host_state() == before


@pytest.fixture
async def attacker(stand: Stand, python_image: str) -> AsyncIterator[Attacker]:
    """A job that attacks; nothing of it is left at the end."""
    yield Attacker(stand, python_image)
    assert await stand.left() == ([], [])


@pytest.fixture
async def neighbour(engine: DockerEngine, tmp_path: Path) -> AsyncIterator[Neighbour]:
    """Another executor's job on the same host."""
    work_dir = tmp_path / "neighbours"
    work_dir.mkdir()
    neighbour = Neighbour(Stand(engine, work_dir))
    yield neighbour
    await neighbour.end()

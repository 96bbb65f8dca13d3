import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from compute_horde_common.containers.docker import DockerEngine
from compute_horde_common.containers.labels import OWNER_LABEL
from compute_horde_common.containers.scratch_image import build_busybox_image
from tests.stand import IMAGE, OWNER, Stand, Web


@pytest.fixture(scope="session")
def image() -> str:
    async def build() -> None:
        async with DockerEngine() as engine:
            await build_busybox_image(engine, IMAGE)

    asyncio.run(build())
    return IMAGE


@pytest.fixture
async def engine(image: str) -> AsyncIterator[DockerEngine]:
    async with DockerEngine() as engine:
        yield engine
        for left in await engine.owned({OWNER_LABEL: OWNER}):
            await engine.remove(left.id)


@pytest.fixture
def stand(engine: DockerEngine, tmp_path: Path) -> Stand:
    work_dir = tmp_path / "work"
    work_dir.mkdir()
    return Stand(engine, work_dir)


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    web = Web()
    async with await asyncio.start_server(web.serve, "127.0.0.1", 0) as server:
        web.port = server.sockets[0].getsockname()[1]
        yield web

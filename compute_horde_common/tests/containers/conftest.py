import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from compute_horde_common.containers.docker import DockerEngine
from compute_horde_common.containers.scratch_image import build_busybox_image
from tests.containers.shells import IMAGE, OWNER


@pytest.fixture(scope="session")
def image() -> str:
    async def build() -> None:
        async with DockerEngine() as engine:
            await build_busybox_image(engine, IMAGE)

    asyncio.run(build())
    return IMAGE


@pytest.fixture
async def engine(image: str) -> AsyncIterator[DockerEngine]:
    async with DockerEngine() as engine, AsyncExitStack() as cleanup:
        yield engine
        for left in await engine.owned(OWNER):
            cleanup.push_async_callback(engine.remove, left.id)

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from compute_horde_common.containers.docker import DockerEngine
from compute_horde_common.containers.python_image import ensure_python_image
from compute_horde_sdk.v1.fallback import FallbackClient, FallbackJobSpec
from tests.fallback.docker_cloud import DockerCloud

SpecMaker = Callable[..., FallbackJobSpec]


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[DockerCloud]:
    async with DockerEngine() as engine:
        image = await ensure_python_image(engine)
    cloud = DockerCloud(image, tmp_path / "cloud")
    yield cloud
    cloud.clear()


@pytest.fixture
def client(cloud: DockerCloud, tmp_path: Path) -> Iterator[FallbackClient]:
    with FallbackClient(
        "docker", backend=cloud, state_dir=tmp_path / "state", look_seconds=0.1
    ) as opened:
        yield opened


@pytest.fixture
def spec() -> SpecMaker:
    def make(run: str, **more: object) -> FallbackJobSpec:
        limits = {"download_time_limit_sec": 10, "execution_time_limit_sec": 20}
        return FallbackJobSpec(run=run, **{**limits, **more})  # type: ignore[arg-type]  # by name

    return make

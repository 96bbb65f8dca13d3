"""Jobs on this machine's Docker, without any service. Fixtures have the names of the network's, so
that its tests can be run here as well."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from compute_horde_common.containers.docker import DockerEngine
from compute_horde_common.containers.scratch_image import build_busybox_image
from compute_horde_sdk.v1 import ComputeHordeJobSpec, ExecutorClass
from compute_horde_sdk.v1.local import LocalClient
from tests.conftest import SpecMaker

BRISK = {"CANCEL_GRACE_SECONDS": "0", "EXECUTOR_MEMORY_BYTES": str(64 << 20)}
IMAGE = "compute-horde-local-test:latest"


@pytest.fixture(scope="session")
def image() -> str:
    async def build() -> None:
        async with DockerEngine() as engine:
            await build_busybox_image(engine, IMAGE)

    asyncio.run(build())
    return IMAGE


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[LocalClient]:
    async with LocalClient(work_dir=tmp_path, executor_environment=BRISK) as opened:
        yield opened


@pytest.fixture
def spec(image: str) -> SpecMaker:
    def make(*args: str, **more: object) -> ComputeHordeJobSpec:
        fields: dict[str, object] = {
            "executor_class": ExecutorClass.always_on__test,
            "job_namespace": "SN12.tests",
            "docker_image": image,
            "download_time_limit_sec": 10,
            "execution_time_limit_sec": 20,
            "upload_time_limit_sec": 10,
            "args": list(args),
        }
        return ComputeHordeJobSpec(**{**fields, **more})  # type: ignore[arg-type]  # by name

    return make

"""Where there is no GPU, and no driver, files and answers stand for them."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typing_extensions import override

from compute_horde_common.containers.docker import DockerEngine
from compute_horde_common.containers.interface import EngineInfo
from compute_horde_common.containers.scratch_image import build_busybox_image
from compute_horde_common.contrib.django.doctor.examination import examine
from compute_horde_common.contrib.django.doctor.findings import State, fail, ok, warn
from miner.management.host import INSTALL_DRIVER, INSTALL_TOOLKIT, START_DOCKER, Host

IMAGE = "compute-horde/test-doctor:1"
DRIVER = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Thu Jan 23 2025\n"
MakeHost = Callable[..., Host]


class WithGpus(DockerEngine):
    """An engine that says that it knows NVIDIA's runtime."""

    @override
    async def info(self) -> EngineInfo:
        info = await super().info()
        return replace(info, runtimes=(*info.runtimes, "nvidia"))


@pytest.fixture(scope="module")
def image() -> str:
    async def build() -> None:
        async with DockerEngine() as engine:
            await build_busybox_image(engine, IMAGE)

    asyncio.run(build())
    return IMAGE


@pytest.fixture
async def engine() -> AsyncIterator[DockerEngine]:
    async with WithGpus() as opened:
        yield opened


@pytest.fixture
def host(tmp_path: Path, engine: DockerEngine) -> MakeHost:
    driver = tmp_path / "version"
    driver.write_text(DRIVER)
    usual = Host(
        engine,
        manager="docker",
        image=IMAGE,
        work_directory=tmp_path,
        gpu_classes=("always_on.gpu-24gb",),
        without_gpu=False,
        driver=driver,
    )
    return lambda **changes: replace(usual, **changes)


async def test_an_engine_that_answers_says_what_it_is(host: MakeHost) -> None:
    finding = await host().docker_answers()

    assert finding.state is State.OK
    assert finding.found.startswith("Docker ")


async def test_without_an_engine_all_that_needs_it_waits(host: MakeHost, tmp_path: Path) -> None:
    async with DockerEngine(f"unix://{tmp_path}/no.sock") as nobody:
        findings = await examine(host(engine=nobody).checks())

    assert findings["Docker"] == fail(
        "No answer from the Docker daemon (ConnectError): [Errno 2] No such file or directory",
        START_DOCKER,
    )
    waits = warn("not looked at, as Docker failed", "See Docker.")
    assert (findings["GPU"], findings["executor image"]) == (waits, waits)


async def test_an_image_that_is_here_is_named(host: MakeHost, image: str) -> None:
    assert await host().image_is_here() == ok(IMAGE)


async def test_an_image_that_is_not_here_is_told_how_to_get(host: MakeHost) -> None:
    finding = await host(image="computehorde/nothing:0").image_is_here()

    assert finding == fail(
        "computehorde/nothing:0 is not on this host",
        "docker pull computehorde/nothing:0; or set EXECUTOR_IMAGE in .env to one that is here.",
    )


async def test_what_is_no_image_is_told(host: MakeHost) -> None:
    finding = await host(image="Not An Image").image_is_here()

    assert finding == fail(finding.found, "EXECUTOR_IMAGE must be the name of an image.")


async def test_a_work_directory_that_is_not_there_fails(host: MakeHost, tmp_path: Path) -> None:
    path = tmp_path / "work"

    finding = await host(work_directory=path).work_directory_is_usable()

    assert finding == fail(
        f"{path} cannot be written to: {os.strerror(2)}",
        f"EXECUTOR_WORK_DIRECTORY must be a folder of the host with room: `sudo mkdir -p {path}`"
        " makes it. To make room, remove files there that are days old, and images that nobody"
        " uses (`docker image prune --all`).",
    )


async def test_where_no_class_needs_a_gpu_none_is_looked_for(
    host: MakeHost, tmp_path: Path
) -> None:
    finding = await host(gpu_classes=(), driver=tmp_path / "none").gpu_is_there()

    assert finding == ok("no class of EXECUTOR_SLOTS needs one")


async def test_jobs_without_their_gpu_are_warned_of(host: MakeHost) -> None:
    finding = await host(without_gpu=True).gpu_is_there()

    assert finding == warn(
        "jobs of GPU classes run without a GPU",
        "That is for development: remove DEBUG_NO_GPU_MODE from .env.",
    )


async def test_a_missing_driver_is_told(host: MakeHost, tmp_path: Path) -> None:
    finding = await host(driver=tmp_path / "none").gpu_is_there()

    assert finding == fail(
        "no NVIDIA driver is loaded; needed by always_on.gpu-24gb", INSTALL_DRIVER
    )


async def test_an_engine_that_knows_no_gpus_is_told(host: MakeHost) -> None:
    async with DockerEngine() as plain:
        finding = await host(engine=plain).gpu_is_there()

    assert finding == fail(
        "NVIDIA driver 570.86.15, but Docker cannot give GPUs to containers", INSTALL_TOOLKIT
    )


async def test_a_host_with_driver_and_runtime_is_well(host: MakeHost) -> None:
    assert await host().gpu_is_there() == ok(
        "NVIDIA driver 570.86.15; Docker knows the runtime nvidia"
    )


def test_a_manager_of_ones_own_needs_no_docker(host: MakeHost) -> None:
    assert [check.name for check in host(manager="cloud").checks()] == ["work directory"]

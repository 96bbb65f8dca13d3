import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from compute_horde_common.containers.docker import DockerEngine
from compute_horde_common.containers.interface import ContainerSpec, Limits
from compute_horde_common.containers.labels import OWNER_LABEL, TOKEN_LABEL
from compute_horde_common.containers.scratch_image import build_busybox_image
from miner.fleet.docker import DockerManager
from miner.fleet.interface import FleetError, Running, Setting

OWNER = f"tests-{os.getpid()}"
TOKEN = f"token-{os.getpid()}"
IMAGE = "horde-miner-tests:1"
STAYS = ("sleep", "60")


@pytest.fixture
async def setting(tmp_path: Path) -> AsyncIterator[Setting]:
    async with DockerEngine() as engine:
        await build_busybox_image(engine, IMAGE)
        yield Setting(
            owner=OWNER,
            engine=engine,
            image=IMAGE,
            network="none",
            work_directory=tmp_path,
            log_directory=None,
        )
        await DockerManager(setting_of(engine, tmp_path)).cleanup(TOKEN)
        await engine.remove_image(IMAGE)


def setting_of(engine: DockerEngine, tmp_path: Path) -> Setting:
    return Setting(OWNER, engine, IMAGE, "none", tmp_path, None)


async def test_an_executor_runs_until_it_is_stopped(setting: Setting) -> None:
    manager = DockerManager(setting, STAYS)
    handle = await manager.start(TOKEN, "always_on.test", {"EXECUTOR_TOKEN": TOKEN})
    assert await manager.owned() == [Running(handle, TOKEN)]

    await manager.stop(handle)

    assert not await manager.alive(handle)


async def test_a_missing_image_is_an_error_of_the_fleet(setting: Setting, tmp_path: Path) -> None:
    missing = Setting(OWNER, setting.engine, "horde-no-such-image:1", "none", tmp_path, None)

    with pytest.raises(FleetError):
        await DockerManager(missing).start(TOKEN, "always_on.test", {})


async def test_what_an_executor_left_is_removed(setting: Setting) -> None:
    manager = DockerManager(setting, STAYS)
    labels = {OWNER_LABEL: OWNER, TOKEN_LABEL: TOKEN}
    limits = Limits(memory_bytes=1 << 26, cpus=1)
    await setting.engine.create(
        ContainerSpec(image=IMAGE, name=f"ch-{TOKEN}-job", limits=limits, labels=labels)
    )

    await manager.cleanup(TOKEN)

    assert await setting.engine.owned(labels) == []


async def test_a_sweep_spares_those_that_are_known(setting: Setting) -> None:
    manager = DockerManager(setting, STAYS)
    labels = {OWNER_LABEL: OWNER, TOKEN_LABEL: TOKEN}
    limits = Limits(memory_bytes=1 << 26, cpus=1)
    await setting.engine.create(
        ContainerSpec(image=IMAGE, name=f"ch-{TOKEN}-job", limits=limits, labels=labels)
    )

    removed = [await manager.sweep(frozenset({TOKEN})), await manager.sweep(frozenset())]

    assert removed == [0, 1]

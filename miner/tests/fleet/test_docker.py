import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

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


async def test_an_executor_is_told_and_given_what_streaming_and_caching_need(
    setting: Setting, tmp_path: Path
) -> None:
    cache, logins = tmp_path / "cache", tmp_path / "config.json"
    cache.mkdir()
    logins.write_text("{}")
    manager = DockerManager(replace(setting, network="bridge"), STAYS)
    env = {
        "EXECUTOR_TOKEN": TOKEN,
        "STREAMING_PORTS": "6500-6599",
        "INPUT_CACHE_DIR": str(cache),
        "REGISTRY_CREDENTIALS": str(logins),
    }

    handle = await manager.start(TOKEN, "always_on.test", env)

    found = await inspected(setting, handle)
    mounts = {
        (bind["Source"], bind["Target"], bind.get("ReadOnly", False)) for bind in found["Mounts"]
    }
    assert set(found["Env"]) >= {
        f"EXECUTOR_CONTAINER=ch-executor-{TOKEN}",
        "NGINX_PORT=6006",
        f"INPUT_CACHE_DIR={cache}",
        f"REGISTRY_CREDENTIALS={logins}",
    }
    assert not any(variable.startswith("STREAMING_PORTS=") for variable in found["Env"])
    assert mounts == {
        ("/var/run/docker.sock", "/var/run/docker.sock", False),
        (str(tmp_path), str(tmp_path), False),
        (str(cache), str(cache), False),
        (str(logins), str(logins), True),
    }
    published = await setting.engine.published_port(handle, 6006)
    assert published is not None
    assert published[1] in range(6500, 6600)


async def inspected(setting: Setting, handle: str) -> dict[str, Any]:
    """What the daemon made of the container that it was asked for."""
    engine = setting.engine
    assert isinstance(engine, DockerEngine)
    reply = await engine._api.call("GET", f"/containers/{handle}/json")
    found = reply.json
    assert isinstance(found, dict)
    config, host = found["Config"], found["HostConfig"]
    assert isinstance(config, dict)
    assert isinstance(host, dict)
    return {"Env": config["Env"], "Mounts": host["Mounts"]}


async def test_two_executors_have_ports_of_their_own(setting: Setting) -> None:
    manager = DockerManager(replace(setting, network="bridge"), STAYS)
    env = {"STREAMING_PORTS": "6600-6699"}
    handles = [await manager.start(f"{TOKEN}-{n}", "always_on.test", env) for n in range(2)]

    ports = {await setting.engine.published_port(handle, 6006) for handle in handles}

    for number in range(2):
        await manager.cleanup(f"{TOKEN}-{number}")
    assert len(ports - {None}) == 2


async def test_networks_that_an_executor_left_are_removed(setting: Setting) -> None:
    manager = DockerManager(setting, STAYS)
    labels = {OWNER_LABEL: OWNER, TOKEN_LABEL: TOKEN}
    await setting.engine.create_network(f"ch-{TOKEN}", labels)

    spared = await manager.sweep(frozenset({TOKEN}))
    await manager.cleanup(TOKEN)

    assert spared == 0
    assert await setting.engine.owned_networks(labels) == []


async def test_a_sweep_removes_networks_of_nobody(setting: Setting) -> None:
    labels = {OWNER_LABEL: OWNER, TOKEN_LABEL: TOKEN}
    await setting.engine.create_network(f"ch-{TOKEN}", labels)

    removed = await DockerManager(setting, STAYS).sweep(frozenset())

    assert (removed, await setting.engine.owned_networks(labels)) == (1, [])

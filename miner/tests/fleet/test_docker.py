import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue
from typing_extensions import override

from compute_horde_common.containers.docker import DockerEngine
from compute_horde_common.containers.docker_config import container_config
from compute_horde_common.containers.interface import ContainerSpec, Limits
from compute_horde_common.containers.labels import OWNER_LABEL, TOKEN_LABEL
from compute_horde_common.containers.scratch_image import build_busybox_image
from miner.config import config
from miner.fleet.docker import DockerManager
from miner.fleet.interface import FleetError, Running, Setting
from miner.wiring import executor_environment

OWNER = f"tests-{os.getpid()}"
TOKEN = f"token-{os.getpid()}"
IMAGE = f"horde-miner-tests:{os.getpid()}"
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
    return {**host, "Env": config["Env"]}


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


class AskedEngine(DockerEngine):
    """Notes what the daemon would be asked to create, and creates nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[dict[str, JsonValue]] = []

    @override
    async def create(self, spec: ContainerSpec) -> str:
        self.asked.append({"name": spec.name, **container_config(spec)})
        return spec.name

    @override
    async def start(self, container_id: str) -> None:
        pass


async def request_for(executor_class: str, env: dict[str, str], **setting: object) -> JsonValue:
    """The whole create request of an executor's container."""
    engine = AskedEngine()
    plain = Setting("owner", engine, "computehorde/executor:1", "executors", Path("/work"), None)
    manager = DockerManager(replace(plain, **setting))  # type: ignore[arg-type]  # fields of it
    await manager.start("token", executor_class, env)
    (request,) = engine.asked
    return request


def request(env: dict[str, str], mounts: list[JsonValue], gpus: list[JsonValue]) -> JsonValue:
    """What is asked of the daemon, apart from what depends on the slot."""
    told = {
        "EXECUTOR_WORK_DIR": "/work",
        "EXECUTOR_CONTAINER": "ch-executor-token",
        "NGINX_PORT": "6006",
    }
    return {
        "name": "ch-executor-token",
        "Image": "computehorde/executor:1",
        "Env": [f"{name}={value}" for name, value in (env | told).items()],
        "Labels": {"compute-horde.executor-of": "owner", "compute-horde.token": "token"},
        "ExposedPorts": {"6006/tcp": {}},
        "HostConfig": {
            "NetworkMode": "executors",
            "Dns": [],
            "IpcMode": "private",
            "CgroupnsMode": "private",
            "CapDrop": ["ALL"],
            "CapAdd": ["CHOWN", "DAC_OVERRIDE", "FOWNER"],
            "SecurityOpt": ["no-new-privileges"],
            "Init": True,
            "Memory": 2 << 30,
            "MemorySwap": 2 << 30,
            "CpuPeriod": 100_000,
            "CpuQuota": 200_000,
            "PidsLimit": 1024,
            "OomScoreAdj": 0,
            "ShmSize": 64 << 20,
            "Ulimits": [{"Name": "core", "Soft": 0, "Hard": 0}],
            "LogConfig": {
                "Type": "json-file",
                "Config": {"max-size": str(32 << 20), "max-file": "2"},
            },
            "Mounts": [*mounts],
            "PortBindings": {"6006/tcp": [{"HostPort": "6000-6999"}]},
            "DeviceRequests": [*gpus],
        },
    }


def bind(source: str, target: str = "", *, read_only: bool = False) -> JsonValue:
    return {
        "Type": "bind",
        "Source": source,
        "Target": target or source,
        "ReadOnly": read_only,
    }


DAEMON, WORK = bind("/var/run/docker.sock"), bind("/work")
NVIDIA_CTK = bind("/usr/bin/nvidia-ctk", read_only=True)
CPU_CLASS, GPU_CLASS = "always_on.test", "always_on.llm.a6000"


async def test_the_whole_request_for_a_class_without_gpu() -> None:
    env = {"EXECUTOR_TOKEN": "token", "LOG_LEVEL": "INFO", "EXECUTOR_GPUS": "0"}

    assert await request_for(CPU_CLASS, env) == request(env, [DAEMON, WORK], [])


async def test_the_whole_request_for_a_class_with_gpus() -> None:
    env = {"EXECUTOR_TOKEN": "token", "DEBUG_NO_GPU_MODE": "false"}

    asked = await request_for(GPU_CLASS, env)

    driver = {"NVIDIA_DRIVER_CAPABILITIES": "compute,utility"}
    every_gpu: JsonValue = {"Count": -1, "Capabilities": [["gpu"]]}
    expected = request(env, [DAEMON, WORK, NVIDIA_CTK], [every_gpu])
    assert isinstance(expected, dict)
    assert isinstance(expected["Env"], list)
    expected["Env"].extend(f"{name}={value}" for name, value in driver.items())
    assert asked == expected


@pytest.mark.parametrize(
    ("env", "devices"),
    [
        ({"EXECUTOR_GPUS": "2, GPU-aaaa"}, [{"DeviceIDs": ["2", "GPU-aaaa"]}]),
        ({"EXECUTOR_GPUS": ""}, [{"Count": -1}]),
        ({"EXECUTOR_GPUS": "2", "DEBUG_NO_GPU_MODE": "true"}, []),
    ],
)
async def test_an_executor_sees_the_gpus_that_it_may_give_to_jobs(
    env: dict[str, str], devices: list[dict[str, JsonValue]]
) -> None:
    asked: Any = await request_for(GPU_CLASS, env)

    expected = [{**device, "Capabilities": [["gpu"]]} for device in devices]
    assert asked["HostConfig"]["DeviceRequests"] == expected


async def test_an_engine_at_another_socket_is_mounted_where_executors_look() -> None:
    asked: Any = await request_for(CPU_CLASS, {}, docker_address="unix:///run/user/1/docker.sock")

    socket = bind("/run/user/1/docker.sock", "/var/run/docker.sock")
    assert asked["HostConfig"]["Mounts"] == [socket, WORK]


async def test_an_engine_on_the_network_is_told_to_executors() -> None:
    asked: Any = await request_for(CPU_CLASS, {}, docker_address="tcp://10.0.0.1:2375")

    assert asked["HostConfig"]["Mounts"] == [WORK]
    assert "DOCKER_HOST=tcp://10.0.0.1:2375" in asked["Env"]


async def test_no_secret_of_the_miner_is_in_the_request() -> None:
    asked = str(await request_for(GPU_CLASS, dict(executor_environment("token", GPU_CLASS, 0))))

    secrets = [
        config.secret_key.get_secret_value(),
        str(config.database_url),
        str(config.redis_url),
        str(config.bittensor_wallet_directory),
    ]
    assert [secret for secret in secrets if secret in asked] == []


async def test_an_executor_is_not_started_again_by_the_daemon(setting: Setting) -> None:
    handle = await DockerManager(setting, ("true",)).start(TOKEN, CPU_CLASS, {})

    found = await inspected(setting, handle)

    assert found["RestartPolicy"]["Name"] in {"", "no"}
    await setting.engine.wait(handle)
    assert await DockerManager(setting).owned() == []


class ToolkitIsHere(DockerEngine):
    """A daemon whose host has NVIDIA's toolkit as a file, and neither driver nor runtime."""

    @override
    async def create(self, spec: ContainerSpec) -> str:
        mounts = tuple(mount for mount in spec.mounts if "nvidia" not in mount.host_path)
        return await super().create(replace(spec, mounts=mounts))


@pytest.mark.parametrize("daemon", [DockerEngine, ToolkitIsHere])
async def test_an_executor_without_its_gpus_starts_to_say_what_is_missing(
    setting: Setting, daemon: type[DockerEngine]
) -> None:
    async with daemon() as engine:
        manager = DockerManager(replace(setting, engine=engine), STAYS)

        handle = await manager.start(TOKEN, GPU_CLASS, {"EXECUTOR_TOKEN": TOKEN})

        assert await manager.owned() == [Running(handle, TOKEN)]
    found = await inspected(setting, handle)
    assert not found["DeviceRequests"]
    assert not [mount for mount in found["Mounts"] if "nvidia" in mount["Source"]]

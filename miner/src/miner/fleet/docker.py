"""Executors in containers on one Docker host. They start jobs' containers beside themselves, so
they get the engine's socket: an executor is trusted, its job is not.

An executor of a GPU class sees the GPUs that it may give to jobs, and the version of NVIDIA's
toolkit on its host: it checks both before it takes a job.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, Literal

import structlog
from typing_extensions import override

from compute_horde_common.containers.interface import (
    ContainerEngine,
    ContainerSpec,
    EngineError,
    EngineUnavailable,
    ImageNotFound,
    Limits,
    Mount,
    PullFailed,
)
from compute_horde_common.containers.labels import TOKEN_LABEL
from compute_horde_common.jobs.executor_classes import executor_class as class_of
from compute_horde_common.transfer.errors import StorageFailed
from miner.fleet.interface import ExecutorManager, FleetError, Running, Setting
from miner.fleet.leftovers import remove_of, remove_others

log = structlog.get_logger(__name__)

SOCKET = "/var/run/docker.sock"
EXECUTOR_OWNER_LABEL = "compute-horde.executor-of"
"""Not the owner's label of jobs' containers: those are swept by other rules."""
STOP_SECONDS = 5.0
STREAMING_PORT = 6006
"""Where an executor listens in its container; the engine leads a free port of the host there."""
DEFAULT_STREAMING_PORTS = "6000-6999"
LIMITS = Limits(memory_bytes=2 << 30, cpus=2.0, pids=1024)
CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER")
"""Jobs' files belong to whatever user the job's image runs as."""
TOOLKIT: Final = "/usr/bin/nvidia-ctk"
"""Of the host. All else that comes with the driver, NVIDIA's runtime brings into the container."""
DRIVER_CAPABILITIES: Final = "compute,utility"
_RUNNING = frozenset({"created", "running", "restarting", "paused"})


class DockerManager(ExecutorManager):
    """Runs the executor's image.

    Args:
        setting: see there.
        command: what to run in place of the image's own command.
    """

    def __init__(self, setting: Setting, command: tuple[str, ...] = ()) -> None:
        self._setting = setting
        self._engine: ContainerEngine = setting.engine
        self._labels = {EXECUTOR_OWNER_LABEL: setting.owner}
        self._command = command

    @override
    async def start(self, token: str, executor_class: str, env: Mapping[str, str]) -> str:
        spec = self._spec(token, executor_class, env)
        try:
            if spec.gpus == "none":
                return await self._run(spec)
            return await self._run_with_gpus(spec)
        except EngineError as error:
            raise FleetError(f"the executor's container does not start: {error}") from error

    async def _run_with_gpus(self, spec: ContainerSpec) -> str:
        """One that cannot have its GPUs is started without: it finds its host unfit and says what
        is missing, and the slot is not offered. A container that does not start says nothing."""
        try:
            return await self._run(spec)
        except (EngineUnavailable, ImageNotFound, PullFailed):
            raise
        except EngineError as error:
            log.warning("executor gets no GPU", reason=str(error))
        await self._engine.remove(spec.name)
        mounts = tuple(mount for mount in spec.mounts if mount.target != TOOLKIT)
        return await self._run(replace(spec, gpus="none", mounts=mounts))

    async def _run(self, spec: ContainerSpec) -> str:
        try:
            handle = await self._engine.create(spec)
        except ImageNotFound:
            # Somebody made room: an idle miner has no container that keeps the image.
            log.warning("the executor's image is not here, and is pulled", image=spec.image)
            await self._engine.pull(spec.image)
            handle = await self._engine.create(spec)
        await self._engine.start(handle)
        return handle

    @override
    async def stop(self, handle: str) -> None:
        try:
            await self._engine.stop(handle, grace=STOP_SECONDS)
            await self._engine.remove(handle)
        except EngineError as error:
            raise FleetError(f"executor {handle[:12]} cannot be stopped: {error}") from error

    @override
    async def alive(self, handle: str) -> bool:
        return any(running.handle == handle for running in await self.owned())

    @override
    async def owned(self) -> list[Running]:
        try:
            found = await self._engine.owned(self._labels)
        except EngineError as error:
            raise FleetError(f"the container engine does not answer: {error}") from error
        return [
            Running(container.id, container.labels.get(TOKEN_LABEL, ""))
            for container in found
            if container.state in _RUNNING
        ]

    @override
    async def public_address(self, handle: str) -> str | None:
        return None

    @override
    async def cleanup(self, token: str) -> None:
        try:
            for ended in await self._engine.owned({**self._labels, TOKEN_LABEL: token}):
                await self._engine.remove(ended.id)
            await remove_of(self._engine, self._setting.owner, token, self._setting.work_directory)
        except (EngineError, StorageFailed) as error:
            raise FleetError(f"leftovers cannot be removed: {error}") from error

    @override
    async def sweep(self, tokens: frozenset[str]) -> int:
        try:
            return await remove_others(self._engine, self._setting.owner, tokens)
        except EngineError as error:
            raise FleetError(f"containers cannot be removed: {error}") from error

    @override
    def watch(self, ended: Callable[[], None]) -> None:
        """The engine does not call back; an executor's closing socket is the sign."""

    def _spec(self, token: str, executor_class: str, env: Mapping[str, str]) -> ContainerSpec:
        work, name = str(self._setting.work_directory), f"ch-executor-{token}"
        gpus = _gpus(executor_class, env)
        toolkit = () if gpus == "none" else (Mount(TOOLKIT, TOOLKIT, read_only=True),)
        engine_address, engine_socket = _way_to_engine(self._setting.docker_address)
        told = {
            **{variable: value for variable, value in env.items() if variable != "STREAMING_PORTS"},
            **engine_address,
            "EXECUTOR_WORK_DIR": work,
            "EXECUTOR_CONTAINER": name,
            "NGINX_PORT": str(STREAMING_PORT),
            **({} if gpus == "none" else {"NVIDIA_DRIVER_CAPABILITIES": DRIVER_CAPABILITIES}),
        }
        return ContainerSpec(
            image=self._setting.image,
            name=name,
            command=self._command,
            limits=LIMITS,
            env=told,
            mounts=(*engine_socket, Mount(work, work), *toolkit, *_mounts(env)),
            network=self._setting.network,
            gpus=gpus,
            ports={STREAMING_PORT: env.get("STREAMING_PORTS", DEFAULT_STREAMING_PORTS)},
            labels={**self._labels, TOKEN_LABEL: token},
            capabilities=CAPABILITIES,
            init=True,
        )


def _gpus(class_name: str, env: Mapping[str, str]) -> Literal["none", "all"] | tuple[str, ...]:
    """Those that jobs of a slot may get."""
    if not class_of(class_name).has_gpu or env.get("DEBUG_NO_GPU_MODE") == "true":
        return "none"
    named = env.get("EXECUTOR_GPUS", "")
    return tuple(gpu.strip() for gpu in named.split(",") if gpu.strip()) or "all"


def _way_to_engine(address: str) -> tuple[Mapping[str, str], tuple[Mount, ...]]:
    """What an executor is told and given to reach the engine."""
    path = address.removeprefix("unix://")
    if path == address:
        return {"DOCKER_HOST": address}, ()
    return {}, (Mount(path, SOCKET),)


def _mounts(env: Mapping[str, str]) -> tuple[Mount, ...]:
    """Paths of the host that an executor is told of, at the same place in its container."""
    paths = (("INPUT_CACHE_DIR", False), ("REGISTRY_CREDENTIALS", True))
    return tuple(
        Mount(env[variable], env[variable], read_only=read_only)
        for variable, read_only in paths
        if env.get(variable)
    )

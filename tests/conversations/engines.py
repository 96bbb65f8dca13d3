"""Container engines that run nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

from typing_extensions import override

from compute_horde_common.containers.interface import (
    ContainerEngine,
    ContainerSpec,
    EngineInfo,
    Exit,
    Logs,
    Output,
    Owned,
    OwnedNetwork,
    PullProgress,
    RegistryLogin,
)


class PretendingEngine(ContainerEngine):
    """Plays Docker: every image is here, and every program writes a line.

    Args:
        code: with which programs end; None for those that never do.
    """

    def __init__(self, code: int | None = 0) -> None:
        self.specs: dict[str, ContainerSpec] = {}
        self.running = asyncio.Event()
        self._code = code

    @override
    async def ping(self) -> None:
        return

    @override
    async def has_image(self, image: str) -> bool:
        return True

    @override
    async def info(self) -> EngineInfo:
        return EngineInfo(
            version="20.10.0",
            kernel="6.12.0",
            cgroup_version="2",
            security_options=("name=seccomp,profile=default",),
            runtimes=("runc",),
            storage_driver="overlay2",
            operating_system="linux",
            architecture="x86_64",
        )

    @override
    async def pull(
        self,
        image: str,
        *,
        credentials: RegistryLogin | None = None,
        watch: Callable[[PullProgress], None] | None = None,
    ) -> None:
        raise AssertionError("the image is here")

    @override
    async def create(self, spec: ContainerSpec) -> str:
        self.specs[spec.name] = spec
        return spec.name

    @override
    async def start(self, container_id: str) -> None:
        self.running.set()

    @override
    async def wait(self, container_id: str) -> Exit:
        if self._code is None:
            await asyncio.Event().wait()
        return Exit(self._code or 0, oom_killed=False)

    @override
    async def logs(self, container_id: str, *, head_bytes: int, tail_bytes: int) -> Logs:
        return Logs(f"{' '.join(self.specs[container_id].command)}\n", "")

    @override
    def follow(self, container_id: str) -> AsyncIterator[Output]:
        raise AssertionError("nobody follows the output")

    @override
    async def stop(self, container_id: str, *, grace: float) -> None:
        raise AssertionError("nobody waits for a program to stop")

    @override
    async def kill(self, container_id: str) -> None:
        return

    @override
    async def remove(self, container_id: str) -> None:
        del self.specs[container_id]

    @override
    async def owned(self, labels: Mapping[str, str]) -> list[Owned]:
        return []

    @override
    async def space_used(self, container_id: str) -> int:
        return 0

    @override
    async def create_network(self, name: str, labels: Mapping[str, str]) -> str:
        raise AssertionError("no job here streams")

    @override
    async def remove_network(self, name: str) -> None:
        return

    @override
    async def owned_networks(self, labels: Mapping[str, str]) -> list[OwnedNetwork]:
        return []

    @override
    async def connect(self, network: str, container_id: str) -> None:
        raise AssertionError("no job here streams")

    @override
    async def address(self, container_id: str, network: str) -> str:
        raise AssertionError("no job here streams")

    @override
    async def network_namespace(self, container_id: str) -> str:
        raise AssertionError("no job here streams")

    @override
    async def published_port(self, container_id: str, port: int) -> tuple[str, int] | None:
        return None

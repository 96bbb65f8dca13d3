"""Container engines that run nothing."""

import asyncio
from collections.abc import AsyncIterator, Mapping

from typing_extensions import override

from compute_horde_common.containers.interface import (
    ContainerEngine,
    ContainerSpec,
    Exit,
    Logs,
    Output,
    Owned,
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
    async def pull(self, image: str) -> None:
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

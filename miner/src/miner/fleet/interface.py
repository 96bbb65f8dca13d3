"""The contract of executor managers. A plug-in is an entry point in the group
``compute_horde.executor_managers``: a callable that takes a `Setting` and returns a manager."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from compute_horde_common.containers.interface import DEFAULT_ADDRESS, ContainerEngine

ENTRY_POINTS = "compute_horde.executor_managers"


class FleetError(Exception):
    """An executor could not be started or stopped; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a manager needs to know.

    Attributes:
        owner: label of everything that belongs to this miner on its hosts.
        engine: where executors' job containers run, for `ExecutorManager.cleanup`.
        image: image of executors that run in containers.
        network: Docker network of executors that run in containers.
        work_directory: where jobs' files go.
        log_directory: where executors' logs go, if anywhere.
        docker_address: where ``engine`` is, as in DOCKER_HOST.
    """

    owner: str
    engine: ContainerEngine
    image: str
    network: str
    work_directory: Path
    log_directory: Path | None
    docker_address: str = DEFAULT_ADDRESS


@dataclass(frozen=True, slots=True)
class Running:
    """An executor that a manager finds on its hosts."""

    handle: str
    token: str


class ExecutorManager(Protocol):
    """Starts and stops executors. Any verb may raise `FleetError`. Handles are the manager's own
    words; they are stored, and outlive the manager."""

    async def start(self, token: str, executor_class: str, env: Mapping[str, str]) -> str:
        """Starts an executor with exactly this environment beside the manager's own additions,
        without waiting for it to connect. Returns its handle. Paths in it are the executor host's,
        and STREAMING_PORTS, if set, the ports at which clients reach that host."""
        ...

    async def stop(self, handle: str) -> None:
        """Ends an executor, at first gently; returns when it is gone. A gone one is fine."""
        ...

    async def alive(self, handle: str) -> bool:
        """Whether an executor has not ended yet."""
        ...

    async def owned(self) -> list[Running]:
        """All executors of this miner that run, whoever started them."""
        ...

    async def public_address(self, handle: str) -> str | None:
        """The IP address at which clients of a streaming job reach the executor; None where the
        manager does not know, which leaves it to STREAMING_ADDRESS or where it connects from."""
        ...

    async def cleanup(self, token: str) -> None:
        """Removes what a gone executor left on its host: its job's containers and networks."""
        ...

    async def sweep(self, tokens: frozenset[str]) -> int:
        """Removes what executors other than ``tokens`` left; how many things that were."""
        ...

    def watch(self, ended: Callable[[], None]) -> None:
        """``ended`` is called soon after an executor ended, where the manager can tell without
        being asked."""
        ...

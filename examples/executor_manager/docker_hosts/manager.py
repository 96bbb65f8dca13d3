"""Executors on several Docker hosts, each looked after as the miner looks after its own.

A host that does not answer gets no executors. What ran there counts as running until it answers
again: nobody else can tell.
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Final

import structlog
from typing_extensions import override

from compute_horde_common.containers.docker import DockerEngine
from compute_horde_common.containers.interface import (
    DEFAULT_ADDRESS,
    ContainerEngine,
    ContainerSpec,
    EngineError,
    Limits,
    Mount,
)
from compute_horde_common.containers.labels import OWNER_LABEL, TOKEN_LABEL, job_folder_name
from miner.fleet.docker import CAPABILITIES, DockerManager
from miner.fleet.interface import ExecutorManager, FleetError, Running, Setting

log = structlog.get_logger(__name__)

VARIABLE: Final = "DOCKER_HOSTS"
PULL_SECONDS: Final = 1800.0
REMOVAL_SECONDS: Final = 60.0
SILENCE_SECONDS: Final = 30.0
"""How long a host that did not answer is left alone."""
_REMOVE: Final = (
    "import pathlib, sys, compute_horde_common.transfer.removal as removal;"
    " removal.remove_tree(pathlib.Path(sys.argv[1]))"
)


@dataclass(frozen=True, slots=True)
class Place:
    """A host for executors.

    Attributes:
        address: its IP address, at which clients of streaming jobs reach it.
        docker: where its engine answers: unix:///PATH or tcp://HOST:PORT.
        executors: how many may run there at once.
    """

    address: str
    docker: str
    executors: int


def places(text: str) -> list[Place]:
    """The hosts that a text names: ``ADDRESS=DOCKER=EXECUTORS``, several separated by commas.

    Raises:
        FleetError: it is not written like that.
    """
    try:
        found = [_place(part.strip()) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise FleetError(f"{VARIABLE}: {error}") from error
    if not found or len({place.address for place in found}) < len(found):
        raise FleetError(f"{VARIABLE}: expected at least one host, and each only once")
    return found


def _place(part: str) -> Place:
    words = part.split("=")
    if len(words) != 3 or not words[2].isdecimal() or words[2] == "0":  # noqa: PLR2004 - see below
        raise ValueError(f"{part!r} is not ADDRESS=DOCKER=EXECUTORS")
    return Place(str(ip_address(words[0])), words[1], int(words[2]))


def from_environment(setting: Setting) -> "DockerHosts":
    """The manager of the hosts that ``DOCKER_HOSTS`` names; what the entry point leads to.

    Raises:
        FleetError: the variable is not usable.
    """
    named = places(os.environ.get(VARIABLE, ""))
    try:
        hosts = [Host(place, DockerEngine(place.docker), setting) for place in named]
    except EngineError as error:
        raise FleetError(f"{VARIABLE}: {error}") from error
    return DockerHosts(hosts)


@dataclass
class Host:
    """A host, and what is known of it.

    Attributes:
        place: where it is.
        engine: its container engine.
        setting: the miner's; its engine and folders stand for this host's.
        tokens: of executors that were started here and are not cleaned up yet.
    """

    place: Place
    engine: ContainerEngine
    setting: Setting
    tokens: set[str] = field(default_factory=set)
    _asked_again_at: float = 0.0

    def __post_init__(self) -> None:
        # The way that we take to a host leads nowhere there.
        self.setting = replace(self.setting, engine=self.engine, docker_address=DEFAULT_ADDRESS)
        self.manager = DockerManager(self.setting)

    async def running(self) -> list[Running] | None:
        """The executors that run here; None if nobody answers."""
        now = asyncio.get_running_loop().time()
        if now < self._asked_again_at:
            return None
        try:
            return await self.manager.owned()
        except FleetError as error:
            self._asked_again_at = now + SILENCE_SECONDS
            log.warning("docker host does not answer", host=self.place.address, error=str(error))
            return None

    async def bring_image(self) -> None:
        """Pulls the executor's image if it is not here."""
        image = self.setting.image
        try:
            async with asyncio.timeout(PULL_SECONDS):
                if not await self.engine.has_image(image):
                    await self.engine.pull(image)
        except (EngineError, TimeoutError) as error:
            raise FleetError(f"{self.place.address} does not get {image}: {error}") from error

    async def remove_folder(self, token: str) -> None:
        """Removes an executor's files of jobs, by a container: they are not on our own disk."""
        work = str(self.setting.work_directory)
        spec = ContainerSpec(
            image=self.setting.image,
            name=f"ch-removal-{token}",
            entrypoint=("python3", "-c", _REMOVE),
            command=(f"{work}/{job_folder_name(token)}",),
            limits=Limits(memory_bytes=1 << 28, cpus=1.0, pids=64),
            mounts=(Mount(work, work),),
            labels={OWNER_LABEL: self.setting.owner, TOKEN_LABEL: token},
            capabilities=CAPABILITIES,
        )
        try:
            async with asyncio.timeout(REMOVAL_SECONDS):
                container = await self.engine.create(spec)
                await self.engine.start(container)
                await self.engine.wait(container)
                await self.engine.remove(container)
        except (EngineError, TimeoutError) as error:
            raise FleetError(f"job files stay on {self.place.address}: {error}") from error


class DockerHosts(ExecutorManager):
    """Starts each executor where most room is left."""

    def __init__(self, hosts: Iterable[Host]) -> None:
        self._hosts = {host.place.address: host for host in hosts}

    @override
    async def start(self, token: str, executor_class: str, env: Mapping[str, str]) -> str:
        host = await self._with_most_room()
        host.tokens.add(token)
        await host.bring_image()
        return _handle(host, await host.manager.start(token, executor_class, env))

    @override
    async def stop(self, handle: str) -> None:
        host, container = self._find(handle)
        await host.manager.stop(container)

    @override
    async def alive(self, handle: str) -> bool:
        address, _, container = handle.partition(" ")
        if address not in self._hosts:
            return False
        running = await self._hosts[address].running()
        return running is None or any(found.handle == container for found in running)

    @override
    async def owned(self) -> list[Running]:
        found = []
        for host, running in await self._all_running():
            host.tokens |= {executor.token for executor in running or []}
            found += [Running(_handle(host, each.handle), each.token) for each in running or []]
        return found

    @override
    async def public_address(self, handle: str) -> str | None:
        return self._find(handle)[0].place.address

    @override
    async def cleanup(self, token: str) -> None:
        # Where it was is not known of one that ended while nobody looked.
        known = [host for host in self._hosts.values() if token in host.tokens]
        for host in known or await self._answering():
            host.tokens.discard(token)
            await host.manager.cleanup(token)
            await host.remove_folder(token)

    @override
    async def sweep(self, tokens: frozenset[str]) -> int:
        return sum([await host.manager.sweep(tokens) for host in await self._answering()])

    @override
    def watch(self, ended: Callable[[], None]) -> None:
        """Engines do not call back; an executor's closing socket is the sign."""

    async def _with_most_room(self) -> Host:
        room = {
            host.place.address: host.place.executors
            - len(host.tokens | {executor.token for executor in running})
            for host, running in await self._all_running()
            if running is not None
        }
        best = max(room, key=lambda address: room[address], default="")
        if not best or room[best] <= 0:
            raise FleetError(f"no host that answers has room for an executor: see {VARIABLE}")
        return self._hosts[best]

    async def _answering(self) -> list[Host]:
        return [host for host, running in await self._all_running() if running is not None]

    async def _all_running(self) -> list[tuple[Host, list[Running] | None]]:
        hosts = list(self._hosts.values())
        found = await asyncio.gather(*(host.running() for host in hosts))
        return list(zip(hosts, found, strict=True))

    def _find(self, handle: str) -> tuple[Host, str]:
        address, _, container = handle.partition(" ")
        if address not in self._hosts:
            raise FleetError(f"{VARIABLE} does not name {address} any more, where executors run")
        return self._hosts[address], container


def _handle(host: Host, container: str) -> str:
    return f"{host.place.address} {container}"

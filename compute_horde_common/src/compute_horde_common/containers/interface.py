"""What we ask of a container engine, and the values it speaks.

A job's container is closed by default: no network, no capabilities, no new privileges, every limit
set. Whatever opens it has to be said in its `ContainerSpec`.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal, Protocol

MIB = 1024 * 1024
DEFAULT_ADDRESS = "unix:///var/run/docker.sock"
"""Where an engine is, unless DOCKER_HOST says otherwise."""


class EngineError(Exception):
    """The engine did not do what it was asked; the message is its own.

    Its kinds: ``EngineUnavailable``, ``ImageNotFound``, ``PullFailed``,
    ``ContainerFailedToStart``, ``NoSuchContainer``, ``NameTaken``.
    """


class EngineUnavailable(EngineError):
    """Nobody answers, or the connection broke in the middle. The container may well go on."""


class ImageNotFound(EngineError):
    """No such image here or, when pulling, in its registry; or a name that no image can have."""


class PullFailed(EngineError):
    """The image may exist, but it did not arrive."""


class ContainerFailedToStart(EngineError):
    """The container exists and its program never ran, for instance because there is none."""


class NoSuchContainer(EngineError):
    """There is no container with this id, or no longer."""


class NameTaken(EngineError):
    """Another container has this name."""


@dataclass(frozen=True, slots=True)
class Mount:
    """An existing host path, seen in the container at ``target``."""

    host_path: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """What a container may use; there is no swap beyond ``memory_bytes``.

    ``cpus`` may be a fraction. ``log_bytes`` is the disk space for its latest output, of which
    each line takes some for itself.
    ``fsize_bytes`` limits each single file it writes; ``nofile`` its open files, None meaning the
    engine's own limit, above which an engine without privileges cannot go.
    """

    memory_bytes: int
    cpus: float
    pids: int = 4096
    shm_bytes: int = 64 * MIB
    log_bytes: int = 64 * MIB
    nofile: int | None = None
    fsize_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """One container to be.

    An empty ``command`` means the image's own, ``entrypoint=None`` likewise. ``gpus`` is "none",
    "all" or device ids. ``capabilities`` are given back out of the none it has. ``ports`` publishes
    a port of the container at a port of the host, or at a free one of a range: "6000-6999". ``dns``
    are the addresses of name servers; none means the engine's own.
    ``init`` puts a small init process before the program: it passes signals on, but images that
    bring their own init break under it, and a missing program looks like one that exits with 127.
    """

    image: str
    name: str
    limits: Limits
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    network: str = "none"
    gpus: Literal["none", "all"] | tuple[str, ...] = "none"
    labels: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    working_dir: str | None = None
    capabilities: tuple[str, ...] = ()
    ports: Mapping[int, str] = field(default_factory=dict)
    dns: tuple[str, ...] = ()
    init: bool = False
    runtime: str | None = None
    oom_score: int = 0


@dataclass(frozen=True, slots=True)
class Exit:
    """How a container's program ended. ``code`` is 128 + the signal where one ended it."""

    code: int
    oom_killed: bool


@dataclass(frozen=True, slots=True)
class Logs:
    """A container's output, shortened in the middle where it was too long."""

    stdout: str
    stderr: str


class Stream(StrEnum):
    """Where a piece of output was written to."""

    STDOUT = "stdout"
    STDERR = "stderr"


@dataclass(frozen=True, slots=True)
class Output:
    """A piece of a container's output, cut anywhere."""

    stream: Stream
    data: bytes


@dataclass(frozen=True, slots=True)
class Owned:
    """A container that carries our labels. ``state`` is the engine's word, such as "running"."""

    id: str
    name: str
    labels: Mapping[str, str]
    state: str
    created: datetime


@dataclass(frozen=True, slots=True)
class OwnedNetwork:
    """A network that carries our labels."""

    id: str
    name: str
    labels: Mapping[str, str]
    created: datetime


@dataclass(frozen=True, slots=True)
class RegistryLogin:
    """How to be let in by one image registry: a name with its password, or a token."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class PullProgress:
    """Bytes of an image's layers, as they travel: how many came, of how many that are known of.

    A layer is known of once it begins to come, so ``total`` grows. Layers that were here before do
    not count.
    """

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine says of itself and of its host, in its own words. ``runc``: its commit."""

    version: str
    kernel: str
    cgroup_version: str
    security_options: tuple[str, ...]
    runtimes: tuple[str, ...]
    storage_driver: str
    operating_system: str
    architecture: str
    runc: str = ""


class Images(Protocol):
    """The images of a container engine."""

    async def has_image(self, image: str) -> bool:
        """Whether a container could be created from it now, without pulling."""
        ...

    async def pull(
        self,
        image: str,
        *,
        credentials: RegistryLogin | None = None,
        watch: Callable[[PullProgress], None] | None = None,
    ) -> None:
        """Brings the image; "latest" where it names no tag.

        ``watch`` hears of every step; what it raises ends the pull. ``credentials`` are for the
        image's registry.

        Raises ``ImageNotFound``, ``PullFailed``.
        """
        ...


class Networks(Protocol):
    """The networks of a container engine, and how its containers are reached."""

    async def create_network(self, name: str, labels: Mapping[str, str]) -> str:
        """Makes a network that leads nowhere and returns its id.

        Its containers reach one another over IPv4; neither the host nor anything beyond it.

        Raises ``NameTaken``.
        """
        ...

    async def remove_network(self, name: str) -> None:
        """Disconnects what is connected to it, and removes it; one that is gone is fine."""
        ...

    async def owned_networks(self, labels: Mapping[str, str]) -> list[OwnedNetwork]:
        """All networks that carry every one of these labels."""
        ...

    async def connect(self, network: str, container_id: str) -> None:
        """Lets a container take part in one more network."""
        ...

    async def address(self, container_id: str, network: str) -> str:
        """The IPv4 address of a running container in a network; ``EngineError`` if it has none."""
        ...

    async def network_namespace(self, container_id: str) -> str:
        """The host's path of a running container's network namespace; ``EngineError`` if none."""
        ...

    async def published_port(self, container_id: str, port: int) -> tuple[str, int] | None:
        """The host's address and port that lead to a running container's port, if any do."""
        ...


class ContainerEngine(Images, Networks, Protocol):
    """Runs containers on one host. Any verb may raise ``EngineError``; cancelling one is safe.

    Verbs that move a lot or wait for a program (``pull``, ``wait``, ``logs``, ``follow``) have no
    limit of their own: the caller gives one.
    """

    async def ping(self) -> None:
        """Raises ``EngineUnavailable`` if nobody answers."""
        ...

    async def info(self) -> EngineInfo:
        """What the engine is."""
        ...

    async def create(self, spec: ContainerSpec) -> str:
        """Makes the container, without starting it, and returns its id.

        Raises ``ImageNotFound``, ``NameTaken``.
        """
        ...

    async def start(self, container_id: str) -> None:
        """Returns once its program runs. Raises ``ContainerFailedToStart``, ``NoSuchContainer``."""
        ...

    async def wait(self, container_id: str) -> Exit:
        """Returns once a started container has ended, at once if it already has."""
        ...

    async def logs(self, container_id: str, *, head_bytes: int, tail_bytes: int) -> Logs:
        """What it wrote until now: of each stream the first and the last bytes.

        The engine itself forgets the oldest output beyond ``Limits.log_bytes``.
        """
        ...

    def follow(self, container_id: str) -> AsyncIterator[Output]:
        """What it wrote and writes, until it ends."""
        ...

    async def stop(self, container_id: str, *, grace: float) -> None:
        """Asks the program to end, kills it after ``grace`` seconds; returns once it has ended."""
        ...

    async def kill(self, container_id: str) -> None:
        """Ends the program at once; a container that does not run is fine."""
        ...

    async def remove(self, container_id: str) -> None:
        """Kills and removes it with its anonymous volumes; one that is gone is fine."""
        ...

    async def owned(self, labels: Mapping[str, str]) -> list[Owned]:
        """All containers, running or not, that carry every one of these labels."""
        ...

    async def space_used(self, container_id: str) -> int:
        """Bytes of the files that it made or changed outside its mounts, holes included."""
        ...

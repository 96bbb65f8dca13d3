"""The seam between jobs and clouds: what a cloud must be able to do. Calls block."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from compute_horde_common.python310 import StrEnum


class Phase(StrEnum):
    """How far the machine of a job is."""

    LAUNCHING = "launching"
    REFUSED = "refused"
    STARTED = "started"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    GONE = "gone"


@dataclass(frozen=True)
class MachineState:
    """Where a machine is, and why it is no further."""

    phase: Phase
    reason: str = ""


@dataclass(frozen=True)
class MachineOrder:
    """A machine, and what is to run on it.

    Attributes:
        name: of the machine; letters, digits and dashes.
        image: the Docker image that it runs in, without any ``docker:``.
        command: the shell command that it runs, in ``folder``.
        folder: a folder of this machine whose files it needs.
        accelerators: any one of these, each a GPU's name and how many; none for a machine without.
        cpus: how many, ``"8+"`` for at least eight; ``None`` for the cloud's choice.
        memory: GB, in the same way.
        disk_size: GB.
        ports: to be opened.
        instance_type: the cloud's own name of a machine.
        region: where.
        zone: where in it.
    """

    name: str
    image: str | None
    command: str
    folder: Path
    accelerators: Sequence[Mapping[str, int]] = ()
    cpus: int | float | str | None = None
    memory: int | float | str | None = None
    disk_size: int | None = None
    ports: int | str | Sequence[str] | None = None
    instance_type: str | None = None
    region: str | None = None
    zone: str | None = None


@dataclass(frozen=True)
class SshAddress:
    """Where a machine takes SSH connections, with which key, and through which command if any."""

    host: str
    port: int
    user: str
    key: Path
    proxy_command: str | None = None


class Cloud(Protocol):
    """Rents machines. Every call may raise `FallbackError`."""

    @property
    def name(self) -> str:
        """Which cloud."""
        ...

    def launch(self, order: MachineOrder, idle_minutes: int) -> str:
        """Begins to start a machine, which ends when it has been idle for so long; returns a ticket
        to ask after it with."""
        ...

    def state(self, name: str, ticket: str) -> MachineState:
        """Where a machine is."""
        ...

    def log(self, name: str) -> str:
        """What its command has written until now."""
        ...

    def end(self, name: str, ticket: str) -> None:
        """Ends a machine and what runs on it, also while it is being started."""
        ...

    def ssh_address(self, name: str) -> SshAddress:
        """Where it can be reached."""
        ...

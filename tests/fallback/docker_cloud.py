"""A cloud whose machines are containers on this host."""

import shutil
import subprocess
from pathlib import Path

from compute_horde_sdk._internal.fallback.cloud import (
    MachineOrder,
    MachineState,
    Phase,
    SshAddress,
)
from compute_horde_sdk._internal.fallback.exceptions import FallbackError

SECONDS = 60
GONE = "No such object"


class DockerCloud:
    """Starts containers of the image that a test has, whatever image was ordered.

    ``refusal`` is why it rents nothing; ``orders`` is what it was asked for.
    """

    name = "docker"

    def __init__(self, image: str, folder: Path) -> None:
        self.image = image
        self._folder = folder
        self.refusal = ""
        self.orders: list[MachineOrder] = []
        self.address: SshAddress | None = None
        self.mounts: list[str] = []

    def launch(self, order: MachineOrder, idle_minutes: int) -> str:
        """A container."""
        self.orders.append(order)
        if self.refusal:
            raise FallbackError(self.refusal)
        # Clouds copy it, too: the job's author removes it when the job has started.
        copied = shutil.copytree(order.folder, self._folder / order.name)
        mount = f"{copied}:/work"
        mounts = [word for each in (mount, *self.mounts) for word in ("-v", each)]
        command = [*mounts, "-w", "/work", self.image, "sh", "-c", order.command]
        name = ["--name", order.name, "--label", f"idle_minutes={idle_minutes}"]
        return _docker("run", "-d", "--network", "host", *name, *command).strip()

    def state(self, name: str, ticket: str) -> MachineState:
        """The container's."""
        try:
            said = _docker("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", ticket)
        except FallbackError:
            return MachineState(Phase.GONE, f"container {name} is gone")
        match said.split():
            case ["exited", "0"]:
                return MachineState(Phase.SUCCEEDED)
            case ["exited", status]:
                return MachineState(Phase.FAILED, f"exit status {status}")
            case _:
                return MachineState(Phase.STARTED)

    def log(self, name: str) -> str:
        """The container's."""
        return _docker("logs", name)

    def end(self, name: str, ticket: str) -> None:
        """Removes the container."""
        assert ticket
        _docker("rm", "-f", name)

    def ssh_address(self, name: str) -> SshAddress:
        """What the test says."""
        if self.address is None:
            raise FallbackError(f"{name} takes no SSH connections")
        return self.address

    def clear(self) -> None:
        """Removes all containers."""
        for order in self.orders:
            subprocess.run(
                ["docker", "rm", "-f", order.name],
                check=False,
                capture_output=True,
                timeout=SECONDS,
            )


def _docker(*words: str) -> str:
    done = subprocess.run(
        ["docker", *words], capture_output=True, text=True, check=False, timeout=SECONDS
    )
    if done.returncode != 0:
        raise FallbackError(f"docker {words[0]} failed: {done.stderr}")
    return done.stdout

"""A Docker engine, wherever one can be had: ``python -m compute_horde_devnet.engine COMMAND…``.

Runs a command with an engine. One that answers already is used; else, as root on Debian or
Ubuntu, one is installed and started, and stopped again after the command if systemd does not
keep it. ``--keep`` leaves it, ``--stop`` stops one that was left.
"""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
from typing_extensions import override

from compute_horde_devnet.processes import Identity, pause

STATE = Path(".dev")
PID_FILE = STATE / "dockerd.pid"
START_SECONDS = 60
_TEST_PROGRAMS = {
    "curl": "curl",
    "debootstrap": "debootstrap",
    "docker-compose": "docker-compose",
    "docker-registry": "docker-registry",
    "iproute2": "ip",
    "openssh-server": "/usr/sbin/sshd",
}
"""Debian's packages that tests need, and a program of each. Servers are started by the tests."""
_UNITS = {"docker-registry": "docker-registry", "openssh-server": "ssh"}
_HELP = (
    "no Docker engine answers. Start one (sudo systemctl start docker) or install one"
    " (sudo apt-get install docker.io), and let this user reach it"
    " (sudo usermod -aG docker $USER, then log in again)"
)


class NoEngine(RuntimeError):
    """There is no Docker engine, and none can be had here. The text says what to run."""


class _EngineConnection(http.client.HTTPConnection):
    @override
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(5)
        self.sock.connect(self.host)


def answers() -> bool:
    """Whether an engine answers where ``DOCKER_HOST`` says."""
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not host.startswith("unix://"):
        return True
    try:
        connection = _EngineConnection(host.removeprefix("unix://"))
        connection.request("GET", "/_ping", headers={"Host": "docker"})
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False


def ensure(*, for_tests: bool = False) -> bool:
    """Makes sure that an engine answers. True if one was started that nobody else keeps.

    Args:
        for_tests: whether the programs that tests need are wanted, too, e.g. an image registry.

    Raises:
        NoEngine: none does, and none can be started here.
    """
    packages = [] if shutil.which("busybox") else ["busybox-static"]
    if for_tests:
        packages += [name for name, program in _TEST_PROGRAMS.items() if not shutil.which(program)]
    running = answers()
    if not running and not shutil.which("dockerd"):
        packages += ["docker.io", "iptables"]
    if packages:
        _install(packages, optional=running)
    if running or answers():
        return False
    if os.geteuid() != 0 or not shutil.which("dockerd"):
        raise NoEngine(_HELP)
    if Path("/run/systemd/system").exists():
        subprocess.run(["systemctl", "start", "docker"], check=False)  # noqa: S607
    else:
        _start()
    _wait()
    return PID_FILE.exists()


def stop() -> None:
    """Stops an engine that `ensure` started."""
    if not PID_FILE.exists():
        return
    pid, created = PID_FILE.read_text().split()
    PID_FILE.unlink()
    process = Identity(int(pid), float(created)).process()
    if process is None:
        return
    process.send_signal(signal.SIGTERM)
    _, alive = psutil.wait_procs([process], timeout=START_SECONDS)
    for survivor in alive:
        survivor.kill()


def _install(packages: list[str], *, optional: bool) -> None:
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        if optional:
            return
        raise NoEngine(_HELP)
    print("installing", *packages, file=sys.stderr)  # noqa: T201 - progress of a command
    STATE.mkdir(exist_ok=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with (STATE / "apt.log").open("ab") as log:

        def apt(*arguments: str) -> bool:
            done = subprocess.run(  # noqa: S603
                ["apt-get", *arguments],  # noqa: S607
                env=environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                check=False,
            )
            return done.returncode == 0

        apt("update", "-qq")
        installed = apt("install", "-y", "-qq", "--no-install-recommends", *packages)
    units = [unit for package, unit in _UNITS.items() if package in packages]
    if units and Path("/run/systemd/system").exists():
        # Tests start their own; nobody asked for servers on this machine's usual ports.
        subprocess.run(["systemctl", "disable", "--now", *units], check=False)  # noqa: S603, S607
    if not installed and not optional:
        raise NoEngine(f"apt-get could not install {' '.join(packages)}; see {log.name}")


def _start() -> None:
    STATE.mkdir(exist_ok=True)
    with (STATE / "dockerd.log").open("ab") as log:
        daemon = subprocess.Popen(
            ["dockerd"],  # noqa: S607
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    identity = Identity.of(daemon.pid)
    PID_FILE.write_text(f"{identity.pid} {identity.created}")


def _wait() -> None:
    for _ in range(START_SECONDS * 10):
        if answers():
            return
        pause(0.1)
    raise NoEngine("the Docker engine does not start; see .dev/dockerd.log")


def main(arguments: list[str]) -> int:
    """Runs a command with an engine, and answers its exit status."""
    if arguments[:1] == ["--stop"]:
        stop()
        return 0
    keep = arguments[:1] == ["--keep"]
    try:
        started = ensure(for_tests=True)
    except NoEngine as error:
        print(f"dev: {error}", file=sys.stderr)  # noqa: T201 - a command's answer
        return 1
    command = subprocess.Popen(arguments[1:] if keep else arguments)  # noqa: S603
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: command.terminate())
    try:
        return command.wait()
    finally:
        if started and not keep:
            stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

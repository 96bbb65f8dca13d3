"""Servers as operators rent them: Debian with systemd, sshd, cron and sudo, and no Docker yet.

Each is a container that gets an engine of its own from the installer. All capabilities but one that
no engine needs and not every machine has, instead of ``--privileged``.
"""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from compute_horde_devnet.options import free_port
from compute_horde_devnet.processes import Child, spawn, stop, wait_until
from tests.deploy.images import PREFIX, base_image, run

HOST_IMAGE: Final = f"{PREFIX}/host:latest"
NETWORK: Final = "compute-horde-hosts"
PACKAGES_VOLUME: Final = "compute-horde-hosts-packages"
USER: Final = "olga"
SECONDS: Final = 60.0
_DOCKERFILE = f"""\
FROM {{base}}
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends \\
        cron dbus iproute2 openssh-server procps sudo systemd-sysv >/dev/null \\
    && rm -rf /var/lib/apt/lists/* /etc/ssh/ssh_host_* \\
    && echo 'Binary::apt::APT::Keep-Downloaded-Packages "true";' >/etc/apt/apt.conf.d/keep \\
    && rm -f /etc/apt/apt.conf.d/docker-clean \\
    && useradd --create-home --shell /bin/bash {USER} \\
    && echo '{USER} ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/{USER} \\
    && install -d -m 0700 /root/.ssh && install -d -m 0700 -o {USER} /home/{USER}/.ssh
"""
_START = """
mount -o remount,bind,rw /sys
for folder in /sys/fs/cgroup /sys/fs/cgroup/*; do mount -o remount,bind,rw $folder; done 2>/dev/null
ssh-keygen -A >/dev/null
exec /sbin/init
"""
_LIKE_A_MACHINE = (
    "--cgroupns=private",
    *("--cap-add=ALL", "--cap-drop=SYS_RESOURCE", "--device-cgroup-rule=a *:* rwm"),
    *(f"--security-opt={name}=unconfined" for name in ("seccomp", "apparmor", "systempaths")),
    *("--tmpfs=/run:exec", "--tmpfs=/run/lock", "--env=container=docker"),
    *("--stop-signal=SIGRTMIN+3", "--volume=/var/lib/docker"),
    f"--volume={PACKAGES_VOLUME}:/var/cache/apt/archives",
)
_EVERYTHING = (
    "find / -xdev \\( -path /proc -o -path /sys -o -path /run -o -path /dev -o -path /var/log"
    " \\) -prune -o ! -name .sudo_as_admin_successful -printf '%p %m %u %s %T@\\n' | sort"
)


@dataclass(frozen=True)
class Host:
    """A server that runs; ``name`` is its container's, too."""

    name: str
    address: str

    def run(self, command: str, user: str = "root") -> str:
        """What a shell command printed on it, without blank lines at the ends. It must succeed."""
        return run("docker", "exec", self.name, "su", "-", user, "-c", command).strip()

    def try_to_run(self, command: str, user: str = "root") -> tuple[int, str]:
        """Exit status and output of one that may fail."""
        done = subprocess.run(
            ["docker", "exec", self.name, "su", "-", user, "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    def start(self, command: str, user: str = "root") -> subprocess.Popen[str]:
        """The same, without waiting for its end."""
        return subprocess.Popen(
            ["docker", "exec", self.name, "su", "-", user, "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def everything(self) -> list[str]:
        """Every file that is not a log, with mode, owner, size and time of change."""
        return self.run(_EVERYTHING).splitlines()

    def containers(self) -> list[str]:
        """Ids and images of all containers of a service, sorted by name."""
        form = "{{.Names}} {{.ID}} {{.Image}}"
        label = "label=com.docker.compose.project"
        return sorted(self.run(f"docker ps --all --filter {label} --format '{form}'").splitlines())


@contextmanager
def hosts_network() -> Iterator[str]:
    """A network for hosts; yields the address that this machine has there."""
    run("docker", "network", "create", NETWORK)
    try:
        form = "{{(index .IPAM.Config 0).Gateway}}"
        yield run("docker", "network", "inspect", "--format", form, NETWORK).strip()
    finally:
        run("docker", "network", "rm", NETWORK)


@contextmanager
def host(name: str, *, key: Path, registry: str) -> Iterator[Host]:
    """A fresh server that lets in whoever has ``key``, and fetches images from ``registry``."""
    container = f"{NETWORK}-{name}"
    create = ("docker", "create", "--name", container, "--hostname", name, "--network", NETWORK)
    run(*create, *_LIKE_A_MACHINE, host_image(), "bash", "-c", _START)
    try:
        run("docker", "start", container)
        form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        started = Host(container, run("docker", "inspect", "--format", form, container).strip())
        public = key.with_suffix(".pub").read_text().strip()
        for home in ("/root", f"/home/{USER}"):
            started.run(f"echo '{public}' >{home}/.ssh/authorized_keys")
        started.run(f"chown {USER} /home/{USER}/.ssh/authorized_keys; mkdir -p /etc/docker")
        settings = f'{{"insecure-registries": ["{registry}"]}}'
        started.run(f"echo '{settings}' >/etc/docker/daemon.json")
        ready = lambda: started.try_to_run("systemctl is-active --quiet ssh")[0] == 0  # noqa: E731 - a question
        wait_until(ready, [], what=f"ssh on {name}", seconds=SECONDS)
        yield started
    finally:
        run("docker", "rm", "--force", "--volumes", container)


def host_image() -> str:
    """The image of a host; it is built if the base is newer."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "Dockerfile").write_text(_DOCKERFILE.format(base=base_image()))
        build = ("docker", "build", "--quiet", "--network=host", "--tag", HOST_IMAGE, folder)
        run(*build, DOCKER_BUILDKIT="0")
    return HOST_IMAGE


class Registry:
    """Debian's docker-registry, where hosts pull from as ``address``."""

    def __init__(self, folder: Path, host_address: str) -> None:
        self._port = free_port("127.0.0.1")
        self._folder = folder
        self._child: Child | None = None
        self.address = f"{host_address}:{self._port}"
        folder.mkdir()
        (folder / "registry.yml").write_text(
            "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
            f"storage: {{filesystem: {{rootdirectory: {folder}/images}}}}\n"
            f'http: {{addr: "0.0.0.0:{self._port}", secret: x}}\n'
        )

    def start(self) -> None:
        """Starts it, with what was pushed before."""
        self._child = spawn(
            "registry",
            ["docker-registry", "serve", str(self._folder / "registry.yml")],
            env={},
            log=self._folder / "registry.log",
            die_with_parent=True,
            cwd=self._folder,
        )
        answers = lambda: _answers(f"http://127.0.0.1:{self._port}/v2/")  # noqa: E731 - a question
        wait_until(answers, [self._child], what="the registry", seconds=SECONDS)

    def stop(self) -> None:
        """Stops it; what was pushed stays."""
        if self._child is not None:
            stop([self._child])

    def push(self, image: str, name: str) -> None:
        """Puts an image of this machine there."""
        there = f"127.0.0.1:{self._port}/{name}"
        run("docker", "tag", image, there)
        run("docker", "push", "--quiet", there)
        run("docker", "rmi", "--no-prune", there)

    def push_changed(self, image: str, name: str, *changes: str) -> None:
        """Puts an image there that differs in some lines of a Dockerfile."""
        text = "\n".join((f"FROM {image}", *changes))
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "Dockerfile").write_text(text)
            changed = f"{PREFIX}/changed:latest"
            run("docker", "build", "--quiet", "--tag", changed, folder, DOCKER_BUILDKIT="0")
        self.push(changed, name)
        run("docker", "rmi", changed)


def _answers(url: str) -> bool:
    return subprocess.run(["curl", "-fsS", "-o", "/dev/null", url], check=False).returncode == 0

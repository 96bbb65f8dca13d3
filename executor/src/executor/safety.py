"""What a host must have before it takes a job: nothing is changed, downloaded or run as root.

What takes long, asking NVIDIA's programs, is done once per boot for the same configuration: a good
end is noted in the work directory. All else is looked at every time.
"""

import asyncio
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from compute_horde_common.containers.interface import (
    ContainerEngine,
    EngineError,
    EngineInfo,
)
from compute_horde_common.containers.registry_logins import registry_logins
from compute_horde_common.jobs.executor_classes import executor_class
from executor.config import ExecutorConfig
from executor.holes import Version, holes_in_linux, holes_in_runc, version_in

MIN_FREE_DISK_BYTES = 1 << 30
MIN_DOCKER = (20, 10)
MIN_TOOLKIT = (1, 17, 4)
"""The first that has the whole of CVE-2024-0132 mended (CVE-2025-23359): before, an image could
mount the host's file system."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PROGRAM_SECONDS = 20
_TOOLKIT_PROGRAMS = ("nvidia-ctk", "nvidia-container-toolkit", "nvidia-container-cli")
_GPU = re.compile(r"GPU (?P<index>\d+): .*\(UUID: (?P<uuid>[^)]+)\)")
_REASON_CHARACTERS = 1000
_NO_DRIVER = "nvidia-smi does not work: install NVIDIA's driver and load it (modprobe nvidia)."
_NO_DRIVER_IN_CONTAINER = (
    "nvidia-smi does not work in the executor's container. Install NVIDIA's driver and container"
    " toolkit on Docker's host, so that `docker run --rm --gpus all IMAGE nvidia-smi -L` lists the"
    " GPUs; EXECUTOR_GPUS must name no others. The miner's log says what Docker answered."
)


class HostUnfit(Exception):
    """This host cannot run jobs; each of ``reasons`` says what it lacks and what to do."""

    def __init__(self, reasons: tuple[str, ...]) -> None:
        self.reasons = tuple(reason[:_REASON_CHARACTERS] for reason in reasons)
        super().__init__(" ".join(self.reasons))


async def check_host(engine: ContainerEngine, config: ExecutorConfig) -> None:
    """Returns if the host may take jobs.

    Raises:
        HostUnfit: with all reasons at once.
    """
    reasons = _disk(config) + _logins(config) + await _engine(engine, config)
    if _needs_gpus(config) and not _known_good(config):
        faults = await asyncio.to_thread(_gpus, config)
        if not faults:
            _note_good(config)
        reasons += faults
    if reasons:
        raise HostUnfit(tuple(reasons))


def _disk(config: ExecutorConfig) -> list[str]:
    free = shutil.disk_usage(config.work_dir).free
    if free >= MIN_FREE_DISK_BYTES:
        return []
    least = MIN_FREE_DISK_BYTES >> 20
    advice = "Free some, or set EXECUTOR_WORK_DIR to a larger disk."
    return [f"{config.work_dir} has {free >> 20} MiB free; jobs need at least {least}. {advice}"]


def _logins(config: ExecutorConfig) -> list[str]:
    if config.registry_credentials is None:
        return []
    try:
        registry_logins(config.registry_credentials)
    except ValueError as fault:
        return [f"REGISTRY_CREDENTIALS: {fault}."]
    return []


async def _engine(engine: ContainerEngine, config: ExecutorConfig) -> list[str]:
    try:
        await engine.ping()
        info = await engine.info()
    except EngineError as failure:
        advice = "Start it (systemctl start docker), let this user reach it, or set DOCKER_HOST."
        return [f"Docker cannot be used here: {failure} {advice}"]
    return [*_docker(info), *_holes(info, config), *_isolation(info, config)]


def _docker(info: EngineInfo) -> list[str]:
    version = version_in(info.version)
    if version is not None and version >= MIN_DOCKER:
        return []
    return [f"Docker is {info.version!r}; jobs need 20.10 or later. Upgrade it."]


def _holes(info: EngineInfo, config: ExecutorConfig) -> list[str]:
    found = [
        f"Linux {info.kernel} has {it}" for it in holes_in_linux(info.kernel, info.cgroup_version)
    ]
    if config.runtime is None:
        found += [f"runc {info.runc} has {hole}" for hole in holes_in_runc(info.runc)]
    return [f"{what}, by which a job can leave its container. Upgrade it." for what in found]


def _isolation(info: EngineInfo, config: ExecutorConfig) -> list[str]:
    """What the daemon lacks of what keeps jobs in. Nothing is replaced by something weaker."""
    reasons = []
    words = {word for option in info.security_options for word in option.split(",")}
    if "name=seccomp" not in words or "profile=unconfined" in words:
        reasons.append(
            "Docker runs containers without a seccomp profile. Remove seccomp-profile from"
            " /etc/docker/daemon.json, or use a kernel with CONFIG_SECCOMP_FILTER."
        )
    if config.runtime is not None and config.runtime not in info.runtimes:
        known = ", ".join(sorted(info.runtimes))
        reasons.append(
            f"JOB_RUNTIME is {config.runtime!r}, which Docker does not know; it knows {known}."
            " Add it to /etc/docker/daemon.json and restart Docker."
        )
    if config.user_namespace and not words & {"name=userns", "name=rootless"}:
        reasons.append(
            "JOB_USER_NAMESPACE is set, but Docker maps no users. Set userns-remap in"
            " /etc/docker/daemon.json and restart Docker, or run it rootless."
        )
    return reasons


def _needs_gpus(config: ExecutorConfig) -> bool:
    """Whether jobs here may get a GPU: by their class, or, where any will do, if there are some."""
    if config.no_gpu:
        return False
    if config.gpus:
        return True
    if config.executor_class is None:
        return shutil.which("nvidia-smi") is not None
    return executor_class(config.executor_class).has_gpu


def _gpus(config: ExecutorConfig) -> list[str]:
    return _driver(config) + _toolkit()


def _driver(config: ExecutorConfig) -> list[str]:
    listing = _output("nvidia-smi", "-L")
    if listing is None:
        return [_NO_DRIVER if config.container is None else _NO_DRIVER_IN_CONTAINER]
    found = [match for line in listing.splitlines() if (match := _GPU.match(line.strip()))]
    if not found:
        return ["nvidia-smi lists no GPU. See dmesg and nvidia-smi -q for what it lacks."]
    known = {match["uuid"] for match in found} | _numbers(found, config)
    missing = [gpu for gpu in config.gpus if gpu not in known]
    if missing or len(found) < len(config.gpus):
        named = ", ".join(missing or config.gpus)
        return [f"EXECUTOR_GPUS names {named}; nvidia-smi -L does not list them."]
    return []


def _numbers(found: list[re.Match[str]], config: ExecutorConfig) -> set[str]:
    """By which the GPUs may be called. A container's are numbered anew, from 0: it was started with
    those that are called so on its host, or it would not run."""
    if config.container is None:
        return {match["index"] for match in found}
    return {gpu for gpu in config.gpus if gpu.isdecimal()}


def _toolkit() -> list[str]:
    wanted = ".".join(map(str, MIN_TOOLKIT))
    version = _toolkit_version()
    if version is None:
        advice = (
            f"Install nvidia-container-toolkit {wanted} or later. An executor in a container of its"
            " own reads it from the host's /usr/bin/nvidia-ctk, which has to be mounted there."
        )
        return [f"The version of NVIDIA's container toolkit cannot be read. {advice}"]
    if version < MIN_TOOLKIT:
        shown = ".".join(map(str, version))
        hole = "CVE-2025-23359, by which a job can leave its container"
        return [f"NVIDIA's container toolkit {shown} has {hole}. Upgrade it to {wanted} or later."]
    return []


def _toolkit_version() -> Version | None:
    for program in _TOOLKIT_PROGRAMS:
        said = _output(program, "--version")
        if said is not None and (version := version_in(said)) is not None:
            return version
    return None


def _output(program: str, argument: str) -> str | None:
    """What a program on PATH prints; None if it is not there, fails, or takes too long."""
    path = shutil.which(program)
    if path is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603 - no word of it comes from outside
            [path, argument],
            capture_output=True,
            text=True,
            errors="replace",
            check=True,
            timeout=_PROGRAM_SECONDS,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def _note(config: ExecutorConfig) -> Path:
    asked = repr((config.executor_class, config.gpus)).encode()
    name = hashlib.sha256(asked).hexdigest()[:16]
    return config.work_dir / f"compute-horde-host-{os.geteuid()}-{name}"


def _known_good(config: ExecutorConfig) -> bool:
    """Whether this user noted it since the last boot; a note that cannot be read is none."""
    try:
        descriptor = os.open(_note(config), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor) as note:
            ours = os.fstat(note.fileno()).st_uid == os.geteuid()
            return ours and note.read(100) == _boot()
    except (OSError, UnicodeDecodeError):
        return False


def _note_good(config: ExecutorConfig) -> None:
    path = _note(config)
    try:
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as note:
            note.write(_boot())
    except OSError:
        # Then the next executor asks again.
        return


def _boot() -> str:
    return _BOOT_ID.read_text().strip()

"""What of the host an escaped job would change."""

import os
import socket
import time
from pathlib import Path

_WATCHED = (
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/kernel/sysrq",
    "/proc/sys/kernel/hostname",
    "/proc/sys/kernel/domainname",
    "/proc/sys/kernel/panic",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/swaps",
)
_DOCKERS = ("/var/lib/docker/", "/run/docker/", "/var/run/docker/")


def host_state() -> dict[str, object]:
    """The same before and after, whatever a job tried."""
    return {
        **{path: _content(Path(path)) for path in _WATCHED},
        "name": socket.gethostname(),
        "release agents": _release_agents(),
        "mounts": _mounts(),
        "devices": sorted(os.listdir("/dev")),  # noqa: PTH208 - names are all that is wanted
        "the clock is right": time.time() > 1_700_000_000,
        "priority": os.getpriority(os.PRIO_PROCESS, 0),
    }


def _release_agents() -> dict[str, str]:
    found = Path("/sys/fs/cgroup").glob("*/release_agent")
    return {str(path): path.read_text() for path in found}


def _mounts() -> list[str]:
    """All but those of containers, which come and go."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    points = [line.split()[1] for line in lines]
    return sorted(point for point in points if not point.startswith(_DOCKERS))


def processes_with(mark: str) -> list[int]:
    """The host's processes that have ``mark`` in their command line, but for this one."""
    return [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if mark.encode() in _content(path) and int(path.parent.name) != os.getpid()
    ]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""

"""What a job sees of its host, and could write to. Runs inside the job; prints JSON."""

import json
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

MASKED = ("acpi", "asound", "kcore", "keys", "latency_stats", "sched_debug", "scsi", "timer_list")
KERNELS = ("/proc", "/sys")


def files(*tops: str) -> Iterator[str]:
    """Everything below that is no folder."""
    for top in tops:
        for folder, _, names in os.walk(top):
            yield from (os.path.join(folder, name) for name in names)  # noqa: PTH118 - many


def of_the_job() -> Iterator[str]:
    """All files that are not the kernel's own."""
    for top in Path("/").iterdir():
        if str(top) not in KERNELS:
            yield from files(str(top))


def of_the_kernel() -> Iterator[str]:
    """What the kernel shows of itself; not what it shows of this process."""
    top = os.scandir("/proc")
    yield from (item.path for item in top if item.is_file(follow_symlinks=False))
    yield from files("/proc/sys", "/proc/irq", "/proc/bus", "/proc/fs", "/sys")


def kind(path: str) -> int:
    try:
        return stat.S_IFMT(os.lstat(path).st_mode)
    except OSError:
        return 0


def opens_for_writing(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def writable() -> list[str]:
    plain = (path for path in of_the_kernel() if kind(path) == stat.S_IFREG)
    return [path for path in plain if opens_for_writing(path)]


def new_control_groups() -> list[str]:
    made = []
    for hierarchy in [*Path("/sys/fs/cgroup").glob("*/tasks"), Path("/sys/fs/cgroup/cgroup.procs")]:
        group = hierarchy.parent / "escape"
        try:
            group.mkdir()
        except OSError:
            continue
        made += [str(group)] if (group / "cgroup.procs").exists() else []
    return made


def unmasked() -> list[str]:
    return [name for name in MASKED if content(Path("/proc", name))]


def content(path: Path) -> list[str]:
    try:
        if path.is_dir():
            return [item.name for item in path.iterdir()]
        return path.read_text(errors="replace").split()
    except OSError:
        return []


def mounts() -> list[str]:
    points = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    return sorted(point for point in points if not point.startswith(KERNELS))


def devices() -> list[str]:
    made = (path for path in of_the_job() if kind(path) in {stat.S_IFBLK, stat.S_IFCHR})
    return sorted(made)


def sockets() -> list[str]:
    named = [path for path in of_the_job() if kind(path) == stat.S_IFSOCK]
    abstract = [line.split()[7:] for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    return [*named, *(name for names in abstract for name in names)]


def found(*names: str) -> list[str]:
    return [path for path in of_the_job() if os.path.basename(path) in names]  # noqa: PTH119


def environment() -> list[str]:
    given = Path("/proc/self/environ").read_text().split("\0")
    return sorted(line.partition("=")[0] for line in given if line)


def status() -> dict[str, str]:
    lines = (line.split(":\t") for line in Path("/proc/self/status").read_text().splitlines())
    wanted = ("Cap", "NoNewPrivs", "Seccomp")
    return {key: value for key, value in lines if key.startswith(wanted)}


def namespaces() -> dict[str, str]:
    return {link.name: str(link.readlink()) for link in Path("/proc/self/ns").iterdir()}


def terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
    except OSError:
        return any(os.isatty(number) for number in range(3))
    return True


def setuid() -> dict[str, int]:
    """What a program that belongs to root and says so becomes when this user starts it."""
    child = os.popen("/usr/bin/setuid -c 'import os; print(os.geteuid())'")  # noqa: S605
    return {"I am": os.geteuid(), "it is": int(child.read())}


if __name__ == "__main__":
    look: Callable[..., object] = globals()[sys.argv[1]]
    print(json.dumps(look(*sys.argv[2:])))  # noqa: T201 - the job's answer

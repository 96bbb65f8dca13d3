"""What a job can do to processes that are not its own. Runs inside the job; prints JSON."""

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
PIDFD_OPEN = 434
LAST = 1 << 17
LEAVABLE = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def processes() -> list[int]:
    return sorted(int(folder.name) for folder in Path("/proc").glob("[0-9]*"))


def touch(*pids: str) -> list[str]:
    """Every way into these processes that opens."""
    ways = [f"/proc/{pid}/{name}" for pid in pids for name in ("mem", "root", "environ", "cwd")]
    found = [way for way in ways if opens(way)]
    found += [f"descriptor of {pid}" for pid in pids if LIBC.syscall(PIDFD_OPEN, int(pid), 0) >= 0]
    return found + [f"{pid} killed" for pid in pids if killed(int(pid))]


def opens(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError:
        return False
    return True


def killed(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        return False
    return True


def kill_all() -> list[int]:
    """Every number that a process of the host may have, and everybody at once."""
    return [pid for pid in (-1, *range(2, LAST)) if killed(pid)]


def stay_behind(mark: str) -> str:
    """A process that leaves its parent, its session and every signal that can be left."""
    told, tell = os.pipe()
    if os.fork():
        return os.read(told, 9).decode()
    os.setsid()
    if os.fork():
        os._exit(0)
    for number in LEAVABLE:
        signal.signal(number, signal.SIG_IGN)
    os.write(tell, b"stays")
    return os.execv("/bin/tail", ["tail", "-f", "/dev/null", mark])  # noqa: S606 - another one


def outlast(mark: str) -> str:
    """The same, while its first process heeds no signal either and never ends."""
    stay_behind(mark)
    for number in LEAVABLE:
        signal.signal(number, signal.SIG_IGN)
    while True:
        signal.pause()


if __name__ == "__main__":
    do_it: Callable[..., object] = globals()[sys.argv[1]]
    print(json.dumps(do_it(*sys.argv[2:])), flush=True)  # noqa: T201 - the job's answer

"""Child processes with a log file each: start, wait until ready, stop for certain."""

import ctypes
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

STOP_SECONDS = 10.0
_POLL_SECONDS = 0.05
_PR_SET_PDEATHSIG = 1


class ProcessFailed(RuntimeError):
    """A process ended before it was ready, or was not ready in time. The text has its log's end."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A process for certain: a number alone may have been given to another one since."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> "Identity":
        """The identity of a running process."""
        return cls(pid, psutil.Process(pid).create_time())

    def process(self) -> psutil.Process | None:
        """The process, if it still runs."""
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.created) > 1:
                return None
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
        except psutil.NoSuchProcess:
            return None
        return process


@dataclass(slots=True)
class Child:
    """A process that was started here, or found again by its identity."""

    name: str
    identity: Identity
    log: Path
    popen: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether it runs."""
        if self.popen is not None:
            return self.popen.poll() is None
        return self.identity.process() is not None


def spawn(
    name: str,
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    log: Path,
    die_with_parent: bool,
    cwd: Path,
) -> Child:
    """Starts a process in a session of its own, writing to ``log``."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        popen = subprocess.Popen(  # noqa: S603 - our own commands
            argv,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent if die_with_parent else None,  # noqa: PLW1509 - no threads hold locks yet
        )
    return Child(name, Identity.of(popen.pid), log, popen)


def finish(child: Child, *, seconds: float) -> None:
    """Returns when the process has ended well.

    Raises:
        ProcessFailed: it ended with another status than 0, or not in time.
    """
    wait_until(lambda: not child.running, [], what=child.name, seconds=seconds)
    if child.popen is not None and child.popen.poll() != 0:
        raise ProcessFailed(_epitaph(child))


def wait_until(
    ready: Callable[[], bool], children: Sequence[Child], *, what: str, seconds: float
) -> None:
    """Returns when ``ready()`` is true, looking every few hundredths of a second.

    Raises:
        ProcessFailed: one of the children ended, or the time is over.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        for child in children:
            if not child.running:
                raise ProcessFailed(_epitaph(child))
        if time.monotonic() > deadline:
            tails = "\n".join(_epitaph(child) for child in children)
            raise ProcessFailed(f"{what}: not ready after {seconds:.0f} s\n{tails}")
        pause(_POLL_SECONDS)


def pause(seconds: float) -> None:
    """Lets time pass between two looks at something outside this process."""
    time.sleep(seconds)  # noqa: TID251 - a poll; there is no event to wait for


def stop(children: Sequence[Child], *, seconds: float = STOP_SECONDS) -> None:
    """Stops processes and everything that they started: asks first, kills after ``seconds``."""
    family: list[psutil.Process] = []
    for child in children:
        process = child.identity.process()
        if process is None:
            continue
        family += [process, *_children_of(process)]
        _signal(process, signal.SIGTERM)
    _, alive = psutil.wait_procs(family, timeout=seconds)
    for process in alive:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=seconds)
    for child in children:
        if child.popen is not None:
            child.popen.poll()


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log."""
    if not log.exists():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def _epitaph(child: Child) -> str:
    code = child.popen.poll() if child.popen else None
    state = "is running" if code is None else f"ended with {code}"
    return f"--- {child.name} {state}; {child.log}:\n{tail(child.log)}"


def _children_of(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _signal(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def _die_with_parent() -> None:
    # Linux only: SIGTERM when the process that started us is gone, kill -9 included.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

"""Executors as child processes of the fleet process, each in a session of its own. They outlive
it; one that is found again is known by its process id together with its start time."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from typing_extensions import override

from compute_horde_common.containers.interface import EngineError
from compute_horde_common.transfer.errors import StorageFailed
from miner.fleet.interface import ExecutorManager, FleetError, Running, Setting
from miner.fleet.leftovers import remove_of, remove_others

STOP_SECONDS = 5.0
POLL_SECONDS = 0.5
MAX_LOG_BYTES = 8 << 20
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "DOCKER_HOST", "PYTHONPATH", "VIRTUAL_ENV")
"""What an executor gets of our environment; our secrets are not among it."""
_STAT_START_TIME = 19
_PROC = Path("/proc")


class ProcessManager(ExecutorManager):
    """Runs ``python -m executor`` with our own interpreter.

    Args:
        setting: see there.
        command: what to run instead.
        stop_seconds: how long an executor may take to end after each signal.
    """

    def __init__(
        self,
        setting: Setting,
        command: tuple[str, ...] | None = None,
        *,
        stop_seconds: float = STOP_SECONDS,
    ) -> None:
        self._stop_seconds = stop_seconds
        self._setting = setting
        self._command = command or (sys.executable, "-m", "executor")
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._gone: dict[str, asyncio.Event] = {}
        self._ended: Callable[[], None] = _nothing

    @override
    async def start(self, token: str, executor_class: str, env: Mapping[str, str]) -> str:
        whole = {name: os.environ[name] for name in INHERITED if name in os.environ}
        whole |= {"EXECUTOR_WORK_DIR": str(self._setting.work_directory), **env}
        try:
            with self._log() as log:
                # Not asyncio's: that one kills its children when the event loop ends.
                child = subprocess.Popen(  # noqa: ASYNC220, S603 - see above; our own command
                    self._command,
                    env=whole,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    cwd="/",
                )
        except OSError as error:
            raise FleetError(f"the executor process cannot be started: {error}") from error
        handle = f"{child.pid}:{_start_time(child.pid) or 0}"
        self._children[handle] = child
        self._watch_process(handle)
        return handle

    @override
    async def stop(self, handle: str) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not _alive(handle):
                return
            _signal_session(handle, number)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._stop_seconds):
                    await self._until_gone(handle)
        if _alive(handle):
            raise FleetError(f"executor process {handle} does not end")

    @override
    async def alive(self, handle: str) -> bool:
        return _alive(handle)

    @override
    async def owned(self) -> list[Running]:
        found = await asyncio.to_thread(_running, self._setting.owner)
        for running in found:
            self._watch_process(running.handle)
        return found

    @override
    async def public_address(self, handle: str) -> str | None:
        return None

    @override
    async def cleanup(self, token: str) -> None:
        try:
            await remove_of(
                self._setting.engine, self._setting.owner, token, self._setting.work_directory
            )
        except (EngineError, StorageFailed) as error:
            raise FleetError(f"leftovers cannot be removed: {error}") from error

    @override
    async def sweep(self, tokens: frozenset[str]) -> int:
        try:
            return await remove_others(self._setting.engine, self._setting.owner, tokens)
        except EngineError as error:
            raise FleetError(f"containers cannot be removed: {error}") from error

    @override
    def watch(self, ended: Callable[[], None]) -> None:
        self._ended = ended

    def _watch_process(self, handle: str) -> None:
        """Lets the kernel tell us when it ends. Where it cannot, somebody asks now and then."""
        if handle in self._gone:
            return
        gone = self._gone[handle] = asyncio.Event()
        try:
            descriptor = os.pidfd_open(int(handle.partition(":")[0]))
        except OSError:
            if not _alive(handle):
                gone.set()
            return
        loop = asyncio.get_running_loop()
        loop.add_reader(descriptor, self._process_ended, loop, descriptor, handle)

    def _process_ended(self, loop: asyncio.AbstractEventLoop, descriptor: int, handle: str) -> None:
        loop.remove_reader(descriptor)
        os.close(descriptor)
        child = self._children.pop(handle, None)
        if child is not None:
            child.poll()
        self._gone.pop(handle, asyncio.Event()).set()
        self._ended()

    async def _until_gone(self, handle: str) -> None:
        gone = self._gone.get(handle)
        while _alive(handle):
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await (gone or asyncio.Event()).wait()

    def _log(self) -> IO[bytes]:
        """Where executors write: one file, begun anew when it has grown too large."""
        folder = self._setting.log_directory
        if folder is None:
            return Path(os.devnull).open("wb")
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "executors.log"
        if path.exists() and path.stat().st_size > MAX_LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return path.open("ab")


def _nothing() -> None:
    pass


def _alive(handle: str) -> bool:
    pid, _, started = handle.partition(":")
    return pid.isdecimal() and _start_time(int(pid)) == started


def _start_time(pid: int) -> str | None:
    """In clock ticks since boot; None for a process that is gone or has ended."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in {"Z", "X"} else fields[_STAT_START_TIME]


def _signal_session(handle: str, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(int(handle.partition(":")[0]), number)


def _running(owner: str) -> list[Running]:
    found = []
    for entry in _PROC.iterdir():
        if not entry.name.isdecimal():
            continue
        env = _environment(entry)
        started = _start_time(int(entry.name))
        # An executor leads its session; what it started itself inherited its environment.
        if started and env.get("EXECUTOR_OWNER") == owner and _leads(int(entry.name)):
            found.append(Running(f"{entry.name}:{started}", env.get("EXECUTOR_TOKEN", "")))
    return found


def _leads(pid: int) -> bool:
    try:
        return os.getsid(pid) == pid
    except OSError:
        return False


def _environment(entry: Path) -> dict[str, str]:
    try:
        text = (entry / "environ").read_bytes().decode(errors="replace")
    except OSError:
        return {}
    pairs = (line.partition("=") for line in text.split("\0"))
    return {name: value for name, _, value in pairs}

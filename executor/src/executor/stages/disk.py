"""The disk that a job fills, watched while it runs.

Counted are blocks that are really taken, so a file with holes costs what it holds; of the
container's own layer only the engine's sum is known, which counts holes, too. The container's
output has a limit of its own and is not counted. Between two looks the host is kept by the limit on
each single file and by the floor.
"""

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from compute_horde_common.clock import Clock
from compute_horde_common.containers.interface import ContainerEngine
from compute_horde_common.jobs.failures import JobFailed, JobFailure, JobFailureReason, Stage
from compute_horde_common.transfer.errors import StorageFailed
from compute_horde_common.transfer.threads import in_thread
from compute_horde_common.transfer.tree import JobTree

MIN_FREE_BYTES = 256 << 20
MIN_FREE_FILES = 10_000
MAX_ENTRIES = 200_000
"""Files and folders that a job may have in its folders."""
MAX_DEPTH = 200
"""How deep it may nest them."""

_PAUSE = timedelta(seconds=2)
_LOOK_SECONDS = 30
_BLOCK_BYTES = 512
_KILLED = 137
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


async def watch_disk(
    engine: ContainerEngine,
    container_id: str,
    tree: JobTree,
    limit_bytes: int,
    clock: Clock,
    *,
    min_free_bytes: int = MIN_FREE_BYTES,
) -> None:
    """Looks every two seconds, until it is cancelled; a short job is not looked at at all.

    Raises:
        JobFailed: the job has filled more than it may; its container is to be killed.
        StorageFailed: the host's disk is nearly full, whoever filled it.
        EngineError: the engine cannot be asked.
    """
    while True:
        await clock.sleep_until(clock.now() + _PAUSE)
        check_floor(tree.path, min_free_bytes)
        taken = await in_thread(lambda stop: space_taken(tree.path, stop))
        if excess := taken.excess():
            raise _exceeded(excess)
        used = taken.size + await _in_layer(engine, container_id, clock)
        if used > limit_bytes:
            raise _exceeded(f"filled {used} bytes of disk, and may fill {limit_bytes}")


def check_floor(path: Path, min_free_bytes: int = MIN_FREE_BYTES) -> None:
    """Raises ``StorageFailed`` if the disk under ``path`` is nearly full."""
    disk = os.statvfs(path)
    free = disk.f_bavail * disk.f_frsize
    if free < min_free_bytes:
        raise StorageFailed(
            f"The disk under {path} has {free >> 20} MiB free and needs {min_free_bytes >> 20}."
            " Free some, or lower JOB_DISK_BYTES."
        )
    # Some file systems have no fixed number of files, and say 0 of 0.
    if disk.f_files and disk.f_favail < MIN_FREE_FILES:
        raise StorageFailed(f"The disk under {path} has no room for more files. Remove some.")


@dataclass(slots=True)
class Taken:
    """What is below a folder: bytes of disk, how many entries, and how deep they are."""

    size: int = 0
    entries: int = 0
    depth: int = 0
    most_entries: int = MAX_ENTRIES
    _seen: set[tuple[int, int]] = field(default_factory=set)

    def excess(self) -> str:
        """What no job may have, whatever it weighs; empty if there is nothing of it."""
        if self.entries > self.most_entries:
            return f"made more than the {self.most_entries} files and folders it may have"
        if self.depth > MAX_DEPTH:
            return f"nested its folders more than {MAX_DEPTH} deep"
        return ""

    def add(self, found: os.stat_result) -> None:
        """Counts one entry; of a file with several names, the first."""
        self.entries += 1
        if found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode):
            file = found.st_dev, found.st_ino
            if file in self._seen:
                return
            self._seen.add(file)
        self.size += found.st_blocks * _BLOCK_BYTES


def space_taken(folder: Path, stop: threading.Event, most_entries: int = MAX_ENTRIES) -> Taken:
    """What is below the folder, no link followed; what vanishes meanwhile does not count.

    Blocks. Ends early once ``stop`` is set, or there is more than a job may have.

    Raises:
        StorageFailed: a folder cannot be looked into.
    """
    taken = Taken(most_entries=most_entries)
    try:
        _count(os.fspath(folder), None, 0, taken, stop)
    except PermissionError as failure:
        raise StorageFailed(
            f"{failure.filename!r} below {folder} cannot be looked into. Run executors as root."
        ) from failure
    return taken


def _count(name: str, parent: int | None, depth: int, taken: Taken, stop: threading.Event) -> None:
    taken.depth = max(taken.depth, depth)
    if taken.excess():
        return
    with suppress(FileNotFoundError, NotADirectoryError), _opened(name, parent) as (fd, entries):
        for entry in entries:
            if taken.excess() or stop.is_set():
                return
            with suppress(FileNotFoundError):
                taken.add(entry.stat(follow_symlinks=False))
            if entry.is_dir(follow_symlinks=False):
                _count(entry.name, fd, depth + 1, taken, stop)


@contextmanager
def _opened(name: str, parent: int | None) -> Iterator[tuple[int, Iterator[os.DirEntry[str]]]]:
    fd = os.open(name, _OPEN_FOLDER, dir_fd=parent)
    try:
        with os.scandir(fd) as entries:
            yield fd, entries
    finally:
        os.close(fd)


async def _in_layer(engine: ContainerEngine, container_id: str, clock: Clock) -> int:
    try:
        async with clock.timeout(_LOOK_SECONDS):
            return await engine.space_used(container_id)
    except TimeoutError:
        raise _exceeded(
            f"made so many files outside its folders that {_LOOK_SECONDS} s do not count them"
        ) from None


def _exceeded(what: str) -> JobFailed:
    return JobFailed(
        JobFailure(
            reason=JobFailureReason.NONZERO_RETURN_CODE,
            stage=Stage.EXECUTION,
            message=f"The job was killed for exceeding its disk limit: it {what}",
            context={"disk_exceeded": True},
            docker_process_exit_status=_KILLED,
        )
    )

"""Inputs kept on an executor's host for later jobs, one file for each URL.

A file is a page that says what it holds, then the content; it appears by a rename and is never
changed. So several executors may share the folder, and a file that one of them reads may be
replaced or evicted by another. Nothing that is wrong here ever fails a job.

Having a file says nothing about who may have it: whoever asks must first let the server say so.
"""

import errno
import fcntl
import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, Self
from uuid import uuid4

from compute_horde_common.transfer.digests import sha256_of

_PAGE_BYTES = 4096
_COPY_BYTES = 64 * 1024 * 1024
_LOCK = "lock"
_INCOMING = "incoming-"
_CANNOT_COPY_RANGE = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})


@dataclass(frozen=True, slots=True)
class Label:
    """What a kept file holds. ``etag`` is the server's strong one."""

    etag: str | None
    sha256: str
    size: int

    def page(self) -> bytes:
        """The first bytes of the file; raises ``OSError`` where they are too many."""
        said = json.dumps(asdict(self)).encode()
        if len(said) > _PAGE_BYTES:
            raise OSError(errno.EFBIG, "the ETag is too long")
        return said.ljust(_PAGE_BYTES)

    @classmethod
    def read(cls, file: BinaryIO) -> Self:
        """Raises ``ValueError``, ``TypeError`` where the file holds something else."""
        return cls(**json.loads(file.read(_PAGE_BYTES)))


class Kept:
    """A file of the cache, open and whole. Close it."""

    def __init__(self, file: BinaryIO, label: Label) -> None:
        self.label = label
        self._file = file

    def copy_to(self, target: BinaryIO, stop: threading.Event) -> None:
        """Copies the content over what ``target`` holds; raises ``OSError``."""
        target.flush()
        _copy(self._file, _PAGE_BYTES, target, 0, self.label.size, stop)
        target.seek(self.label.size)

    def close(self) -> None:
        """Lets go of the file."""
        self._file.close()


class InputCache:
    """A folder of at most ``limit`` bytes; what was not used for longest makes room.

    ``complain`` is told why something could not be kept.
    """

    def __init__(self, path: Path, limit: int, *, complain: Callable[[str], None]) -> None:
        self._path = path
        self._limit = limit
        self._complain = complain

    def find(self, url: str, stop: threading.Event) -> Kept | None:
        """What was kept of this URL, if all of it is still as it was."""
        try:
            file = (self._path / _name_of(url)).open("rb")
        except OSError:
            return None
        kept = _whole(file, stop)
        if kept is None:
            file.close()
            return None
        with suppress(OSError):
            os.utime(file.fileno())
        return kept

    def store(self, url: str, file: BinaryIO, label: Label, stop: threading.Event) -> None:
        """Keeps a copy of the file, if that can be done."""
        size = _PAGE_BYTES + label.size
        if size > self._limit:
            return
        try:
            page = label.page()
            with self._incoming(size) as (path, target):
                target.write(page)
                target.flush()
                _copy(file, 0, target, _PAGE_BYTES, label.size, stop)
                path.rename(self._path / _name_of(url))
        except OSError as failure:
            self._complain(str(failure.strerror))

    @contextmanager
    def _incoming(self, size: int) -> Iterator[tuple[Path, BinaryIO]]:
        """A new file that nobody takes for a left-over while it is open. Its room is made."""
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path / f"{_INCOMING}{uuid4().hex}"
        with ExitStack() as stack:
            with self._locked():
                self._make_room(size)
                target = stack.enter_context(path.open("xb"))
                stack.callback(path.unlink, missing_ok=True)
                fcntl.flock(target, fcntl.LOCK_EX)
                target.truncate(size)
            yield path, target

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._path / _LOCK).open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _make_room(self, size: int) -> None:
        files = sorted(_present(self._path.iterdir()), key=lambda each: each[0].st_mtime_ns)
        total = sum(seen.st_size for seen, _ in files)
        for seen, path in files:
            if total + size <= self._limit:
                return
            if not path.name.startswith(_INCOMING):
                path.unlink(missing_ok=True)
                total -= seen.st_size
        if total + size > self._limit:
            raise OSError(errno.ENOSPC, "other executors are filling the cache")


def _present(paths: Iterable[Path]) -> Iterator[tuple[os.stat_result, Path]]:
    """Those that others have not renamed or removed meanwhile."""
    for path in paths:
        with suppress(FileNotFoundError):
            if path.name != _LOCK and not _left_over(path):
                yield path.stat(), path


def _name_of(url: str) -> str:
    """URLs may be secrets, so they do not appear in the folder."""
    return hashlib.sha256(url.encode()).hexdigest()


def _whole(file: BinaryIO, stop: threading.Event) -> Kept | None:
    try:
        label = Label.read(file)
        if os.fstat(file.fileno()).st_size != _PAGE_BYTES + label.size:
            return None
        return Kept(file, label) if sha256_of(file, stop) == label.sha256 else None
    except (OSError, ValueError, TypeError):
        return None


def _left_over(path: Path) -> bool:
    """Whether this was a file of an executor that died while it wrote it; then it is removed."""
    if not path.name.startswith(_INCOMING):
        return False
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _copy(
    source: BinaryIO,
    source_at: int,
    target: BinaryIO,
    target_at: int,
    size: int,
    stop: threading.Event,
) -> None:
    """By reference where the disk can (reflink), never by a link. Raises ``OSError``."""
    done = 0
    while done < size:
        if stop.is_set():
            raise OSError(errno.ECANCELED, "copying was stopped")
        count = min(size - done, _COPY_BYTES)
        copied = _copy_some(
            source.fileno(), source_at + done, target.fileno(), target_at + done, count
        )
        if not copied:
            raise OSError(errno.EIO, "the file has become shorter")
        done += copied


def _copy_some(source: int, source_at: int, target: int, target_at: int, count: int) -> int:
    try:
        return os.copy_file_range(source, target, count, source_at, target_at)
    except OSError as failure:
        if failure.errno not in _CANNOT_COPY_RANGE:
            raise
    os.lseek(target, target_at, os.SEEK_SET)
    return os.sendfile(target, source, source_at, count)

"""Zip archives into a folder, within a job's budget.

Only plain files and directories, stored or deflated, each name once, no bytes shared between
entries. Inflated bytes are counted as they appear; nothing an archive says about itself is trusted.
Archives inside an archive are files like any other.
"""

import errno
import io
import stat
import threading
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from typing_extensions import Buffer, override

from compute_horde_common.transfer.budget import Budget
from compute_horde_common.transfer.errors import (
    ArchiveRefused,
    StorageFailed,
    TooManyEntries,
    UnsafePath,
)
from compute_horde_common.transfer.threads import in_thread
from compute_horde_common.transfer.tree import Folder, components_of

_CHUNK_BYTES = 256 * 1024
# The central directory is read in one go; this bounds the memory that its entries may take.
_MAX_SINGLE_READ = 4 * 1024 * 1024
_LOCAL_HEADER_BYTES = 30
_ENCRYPTED_FLAGS = 0x1 | 0x40 | 0x2000
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
_SIGNATURES = (b"PK\3\4", b"PK\5\6")
_PLAIN_TYPES = frozenset({0, stat.S_IFREG, stat.S_IFDIR})


@dataclass(frozen=True, slots=True)
class Unpacked:
    """How much came out."""

    files: int
    inflated_bytes: int


async def unpack(archive: BinaryIO, into: Folder, *, budget: Budget) -> Unpacked:
    """Unpacks in a thread. When cancelled, waits for the thread to stop at its next chunk.

    Raises ``ArchiveRefused``, ``TooManyEntries``, ``BudgetSpent``, ``StorageFailed``. Existing
    files are replaced.
    """
    return await in_thread(lambda stop: unpack_now(archive, into, budget=budget, stop=stop))


def unpack_now(
    archive: BinaryIO, into: Folder, *, budget: Budget, stop: threading.Event | None = None
) -> Unpacked:
    """What ``unpack`` does, in the calling thread; ``stop`` ends it with ``ArchiveRefused``."""
    budget.add_archive(archive.seek(0, io.SEEK_END))
    archive.seek(0)
    unpacking = _Unpacking(into, budget, stop or threading.Event())
    with _broken_archives_refused(), zipfile.ZipFile(_Careful(archive)) as opened:
        entries = _checked(opened.infolist(), budget)
        budget.require(sum(entry.info.file_size for entry in entries))
        for entry in entries:
            unpacking.take(opened, entry)
    return Unpacked(unpacking.files, unpacking.inflated)


def is_archive(data: bytes) -> bool:
    """Whether somebody means this to be a zip, a broken one included."""
    return data.startswith(_SIGNATURES) or zipfile.is_zipfile(io.BytesIO(data))


@dataclass(frozen=True, slots=True)
class _Entry:
    path: str
    info: zipfile.ZipInfo


@dataclass
class _Unpacking:
    into: Folder
    budget: Budget
    stop: threading.Event
    files: int = 0
    inflated: int = 0

    def take(self, archive: zipfile.ZipFile, entry: _Entry) -> None:
        if entry.info.is_dir():
            self.into.make_dirs(entry.path)
            return
        program = bool((entry.info.external_attr >> 16) & 0o111)
        with (
            archive.open(entry.info) as source,
            self.into.open_file(entry.path, "wb", program=program) as target,
        ):
            while chunk := source.read(_CHUNK_BYTES):
                self._count(len(chunk))
                target.write(chunk)
        self.files += 1

    def _count(self, size: int) -> None:
        if self.stop.is_set():
            raise ArchiveRefused("Unpacking was stopped.")
        self.inflated += size
        self.budget.inflate(size)


def _checked(infos: Sequence[zipfile.ZipInfo], budget: Budget) -> list[_Entry]:
    files: set[str] = set()
    folders: set[str] = set()
    entries = []
    for info in infos:
        _check_kind(info)
        parts = _parts(info)
        if not parts:
            continue
        path = "/".join(parts)
        folders.update("/".join(parts[:depth]) for depth in range(1, len(parts)))
        if info.is_dir():
            folders.add(path)
        elif path in files:
            raise ArchiveRefused(f"The archive has {path[:200]!r} twice.")
        else:
            files.add(path)
        if len(files) + len(folders) > budget.entries:
            raise TooManyEntries(budget.entries)
        entries.append(_Entry(path, info))
    if both := files & folders:
        raise ArchiveRefused(f"{min(both)[:200]!r} is both a file and a directory.")
    _check_overlap(infos)
    budget.add_entries(len(files) + len(folders))
    return entries


def _check_kind(info: zipfile.ZipInfo) -> None:
    shown = repr(info.filename[:200])
    if info.flag_bits & _ENCRYPTED_FLAGS:
        raise ArchiveRefused(f"{shown} is encrypted.")
    if info.compress_type not in _METHODS:
        raise ArchiveRefused(f"{shown} is neither stored nor deflated.")
    if stat.S_IFMT(info.external_attr >> 16) not in _PLAIN_TYPES:
        raise ArchiveRefused(f"{shown} is neither a file nor a directory.")


def _parts(info: zipfile.ZipInfo) -> tuple[str, ...]:
    # zipfile cuts names at NUL, so the original one is what has to be safe.
    name = info.orig_filename
    relative = name.removesuffix("/")
    kept = "/".join(part for part in relative.split("/") if part != ".")
    if not kept and relative and set(relative.split("/")) == {"."}:
        return ()
    return components_of(kept)


def _check_overlap(infos: Sequence[zipfile.ZipInfo]) -> None:
    end = 0
    for info in sorted(infos, key=lambda each: each.header_offset):
        if info.header_offset < end:
            raise ArchiveRefused("Entries of the archive overlap.")
        name_bytes = len(info.orig_filename)
        end = info.header_offset + _LOCAL_HEADER_BYTES + name_bytes + info.compress_size


@contextmanager
def _broken_archives_refused() -> Iterator[None]:
    try:
        yield
    except UnsafePath as refusal:
        raise ArchiveRefused(f"The archive has a forbidden name. {refusal}") from None
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        OverflowError,
        RuntimeError,
        ValueError,
    ) as failure:
        raise ArchiveRefused(f"The archive is broken: {str(failure)[:200]}") from failure
    except OSError as failure:
        if failure.errno in _DISK_ERRORS:
            raise StorageFailed(f"Unpacking: {failure.strerror}") from failure
        raise ArchiveRefused(f"The archive is broken: {failure.strerror}") from failure


class _Careful(io.RawIOBase):
    """The archive's bytes, never many of them in one piece."""

    def __init__(self, inner: BinaryIO) -> None:
        self._inner = inner

    @override
    def seekable(self) -> bool:
        return True

    @override
    def readable(self) -> bool:
        return True

    @override
    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._inner.seek(offset, whence)

    @override
    def tell(self) -> int:
        return self._inner.tell()

    @override
    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _MAX_SINGLE_READ:
            raise ArchiveRefused("The archive's list of entries is too large.")
        if size is not None and size >= 0:
            return self._inner.read(size)
        everything = self._inner.read(_MAX_SINGLE_READ + 1)
        if len(everything) > _MAX_SINGLE_READ:
            raise ArchiveRefused("The archive's list of entries is too large.")
        return everything

    @override
    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer)
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

"""Folders that a job fills and we read: no path leaves them, no link in them is ever followed.

Each component is opened relative to its parent's descriptor with O_NOFOLLOW. Files are first opened
with O_PATH, looked at, and only then opened through /proc/self/fd, so a FIFO or device that a job
left behind is never opened at all.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Literal

from compute_horde_common.transfer.errors import MissingFile, StorageFailed, UnsafePath
from compute_horde_common.transfer.removal import remove_tree

MAX_COMPONENT_BYTES = 255
MAX_PATH_BYTES = 3000
MAX_DEPTH = 64

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK_AT = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

# Open to every user because the job's user is unknown; the tree's top folder is closed instead.
_FOLDER_MODE = 0o777
_FILE_MODE = 0o666
_PROGRAM_MODE = 0o777

FileMode = Literal["rb", "wb", "xb"]


class Kind(StrEnum):
    """What an entry of a folder is, as far as we care."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    SPECIAL = "special"


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing below a folder; ``size`` is in bytes, and 0 for all but files.

    ``path`` is relative to the folder. Names that are no UTF-8 carry surrogate escapes.
    """

    path: str
    kind: Kind
    size: int


def components_of(path: str) -> tuple[str, ...]:
    """The parts of a safe relative path; raises ``UnsafePath`` for any other."""
    if not path:
        raise UnsafePath(path, "it is empty")
    if "\0" in path:
        raise UnsafePath(path, "it contains a NUL")
    if "\\" in path:
        raise UnsafePath(path, "it contains a backslash")
    if path.startswith("/"):
        raise UnsafePath(path, "it is absolute")
    parts = tuple(path.split("/"))
    for part in parts:
        _check_component(path, part)
    if len(parts) > MAX_DEPTH:
        raise UnsafePath(path, f"it is more than {MAX_DEPTH} folders deep")
    if len(path.encode()) > MAX_PATH_BYTES:
        raise UnsafePath(path, f"it is longer than {MAX_PATH_BYTES} bytes")
    return parts


def _check_component(path: str, part: str) -> None:
    if not part:
        raise UnsafePath(path, "it has an empty component")
    if part in {".", ".."}:
        raise UnsafePath(path, f"it has the component {part!r}")
    try:
        size = len(part.encode())
    except UnicodeEncodeError:
        raise UnsafePath(path, "it is not valid Unicode") from None
    if size > MAX_COMPONENT_BYTES:
        raise UnsafePath(path, f"a component is longer than {MAX_COMPONENT_BYTES} bytes")


class Folder:
    """A directory and all below it. Every method takes paths relative to it.

    Raises ``UnsafePath`` for anything that is not below it, ``MissingFile`` for what is not there,
    ``StorageFailed`` when the disk refuses.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path) -> "Folder":
        """A new, empty directory that every user may write to. Its parent must exist."""
        path.mkdir()
        path.chmod(_FOLDER_MODE)
        return cls(path)

    def open_file(self, path: str, mode: FileMode = "rb", *, program: bool = False) -> BinaryIO:
        """Opens a regular file; writing makes missing folders on the way.

        ``wb`` empties a file that exists, ``xb`` refuses it. ``program`` makes a new file
        executable.
        """
        *parents, name = components_of(path)
        with _failures(path), self._folder(path, tuple(parents), make=mode != "rb") as parent:
            if mode == "rb":
                return os.fdopen(_open_existing(path, name, parent, os.O_RDONLY), "rb")
            fd = _open_to_write(path, name, parent, replace=mode == "wb", program=program)
            return os.fdopen(fd, "wb")

    def write_file(self, path: str, data: bytes) -> None:
        """Writes a small file, replacing what it held."""
        with _failures(path), self.open_file(path, "wb") as target:
            target.write(data)

    def take_file(self, path: str, file: Path) -> None:
        """Moves a file of ours, on the same disk, to ``path``.

        Makes missing folders on the way, and replaces a file that is there.
        """
        *parents, name = components_of(path)
        with _failures(path), self._folder(path, tuple(parents), make=True) as parent:
            os.rename(file, name, dst_dir_fd=parent)

    def make_dirs(self, path: str) -> None:
        """Makes the directory and those above it; a trailing slash is allowed."""
        with _failures(path), self._folder(path, _folder_components(path), make=True):
            pass

    def subfolder(self, path: str) -> "Folder":
        """The directory below this one, made where it is missing; a trailing slash is allowed.

        What is returned trusts the way to it; take it before a job can change the tree.
        """
        self.make_dirs(path)
        return Folder(self.path.joinpath(*_folder_components(path)))

    def remove_file(self, path: str) -> None:
        """Unlinks one name that is no directory; a missing one is fine."""
        *parents, name = components_of(path)
        with (
            suppress(MissingFile),
            _failures(path),
            self._folder(path, tuple(parents), make=False) as parent,
        ):
            os.unlink(name, dir_fd=parent)

    def walk(self) -> Iterator[Entry]:
        """Everything below, parents before children, in no other order.

        Lazy: stop when there is too much. Folders nested deeper than ``MAX_DEPTH`` are listed but
        not entered.
        """
        waiting: list[tuple[str, ...]] = [()]
        while waiting:
            parts = waiting.pop()
            for entry in self._entries(parts):
                yield entry
                if entry.kind is Kind.FOLDER and len(parts) < MAX_DEPTH - 1:
                    waiting.append((*parts, entry.path.rpartition("/")[2]))

    def iter_regular_files(self) -> Iterator[Entry]:
        """The plain files below whose names can be said in UTF-8."""
        return (
            entry for entry in self.walk() if entry.kind is Kind.FILE and is_sayable(entry.path)
        )

    def size(self) -> int:
        """Bytes in all files below, holes of sparse files included."""
        return sum(entry.size for entry in self.walk())

    def _entries(self, parts: tuple[str, ...]) -> Iterator[Entry]:
        path = "/".join(parts)
        with _failures(path), self._folder(path, parts, make=False) as fd, os.scandir(fd) as found:
            for item in found:
                yield _entry(path, item)

    @contextmanager
    def _folder(self, path: str, parts: tuple[str, ...], *, make: bool) -> Iterator[int]:
        fd = os.open(self.path, _OPEN_FOLDER)
        try:
            for part in parts:
                inner = _open_folder(path, part, fd, make=make)
                os.close(fd)
                fd = inner
            yield fd
        finally:
            os.close(fd)


@dataclass(frozen=True, slots=True)
class JobTree:
    """All folders of one job, below one directory that only we may enter.

    ``scratch`` is for what the job must never see or touch, such as downloads not yet unpacked; the
    others are mounted into its container.
    """

    path: Path
    volume: Folder
    output: Folder
    specs: Folder
    artifacts: Folder
    scratch: Folder

    @classmethod
    def create(cls, path: Path) -> "JobTree":
        """Makes the directory and its folders; raises ``StorageFailed``, also where it exists."""
        with _failures(str(path)):
            path.mkdir(mode=0o700)
            return cls(
                path=path,
                volume=Folder.create(path / "volume"),
                output=Folder.create(path / "output"),
                specs=Folder.create(path / "specs"),
                artifacts=Folder.create(path / "artifacts"),
                scratch=Folder.create(path / "scratch"),
            )

    def remove(self) -> None:
        """Removes all of it, whatever the job left there; raises ``StorageFailed``."""
        remove_tree(self.path)


def _folder_components(path: str) -> tuple[str, ...]:
    return components_of(path.rstrip("/") if path.strip("/") else path)


def is_too_deep(entry: Entry) -> bool:
    """Whether ``walk`` lists a folder, and does not enter it."""
    return entry.kind is Kind.FOLDER and entry.path.count("/") >= MAX_DEPTH - 1


def is_sayable(path: str) -> bool:
    """Whether a path can be written in UTF-8, and means the same everywhere."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return "\\" not in path


def _entry(folder: str, item: os.DirEntry[str]) -> Entry:
    path = f"{folder}/{item.name}" if folder else item.name
    if item.is_symlink():
        return Entry(path, Kind.LINK, 0)
    if item.is_dir(follow_symlinks=False):
        return Entry(path, Kind.FOLDER, 0)
    if item.is_file(follow_symlinks=False):
        return Entry(path, Kind.FILE, item.stat(follow_symlinks=False).st_size)
    return Entry(path, Kind.SPECIAL, 0)


def _open_folder(path: str, name: str, parent: int, *, make: bool) -> int:
    try:
        return os.open(name, _OPEN_FOLDER, dir_fd=parent)
    except FileNotFoundError:
        if not make:
            raise
    except NotADirectoryError:
        raise UnsafePath(path, f"{name!r} is no directory") from None
    try:
        os.mkdir(name, dir_fd=parent)
    except FileExistsError:
        return os.open(name, _OPEN_FOLDER, dir_fd=parent)
    fd = os.open(name, _OPEN_FOLDER, dir_fd=parent)
    os.fchmod(fd, _FOLDER_MODE)
    return fd


def _open_existing(path: str, name: str, parent: int, flags: int) -> int:
    seen = os.open(name, _LOOK_AT, dir_fd=parent)
    try:
        if not stat.S_ISREG(os.fstat(seen).st_mode):
            raise UnsafePath(path, "it is no regular file")
        # Without waiting: a job that runs may hold a lease on its file, and let us wait for it.
        return os.open(f"/proc/self/fd/{seen}", flags | os.O_CLOEXEC | os.O_NONBLOCK)
    finally:
        os.close(seen)


def _open_to_write(path: str, name: str, parent: int, *, replace: bool, program: bool) -> int:
    try:
        fd = os.open(name, _CREATE, 0o600, dir_fd=parent)
    except FileExistsError:
        if not replace:
            raise UnsafePath(path, "it exists already") from None
        fd = _open_existing(path, name, parent, os.O_WRONLY)
        os.ftruncate(fd, 0)
        return fd
    os.fchmod(fd, _PROGRAM_MODE if program else _FILE_MODE)
    return fd


@contextmanager
def _failures(path: str) -> Iterator[None]:
    """Turns what the kernel says into our errors."""
    try:
        yield
    except FileNotFoundError:
        raise MissingFile(path) from None
    except OSError as failure:
        if failure.errno in _LINK_ERRORS:
            raise UnsafePath(path, "a link or a file stands in its way") from None
        raise StorageFailed(f"{path[:200]!r}: {failure.strerror}") from failure


_LINK_ERRORS = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EISDIR})

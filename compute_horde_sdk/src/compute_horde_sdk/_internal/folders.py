"""Files and folders of this machine as zips. The same files always make the same zip."""

import base64
import io
import os
import stat
import zipfile
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from compute_horde_common.jobs.paths import safe_relative_path
from compute_horde_sdk._internal.errors import ComputeHordeValidationError

# The oldest time that a zip can name.
ZIP_TIME = (1980, 1, 1, 0, 0, 0)
PLAIN_FILE = 0o644
PROGRAM = 0o755
FOLDER = stat.S_IFDIR | 0o755
EXECUTABLE = 0o111
LARGEST_BYTES = 1 << 20
"""Validators take jobs of up to 1 MiB, all inline volumes included."""
# No file shrinks to less than a 1032nd.
MOST_COMPRESSED = 1032
SHOWN_FILES = 3


def zip_of_one(name: str, contents: bytes, *, compress: bool) -> str:
    """The base64 of a zip with one file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        _add(archive, name, contents, PLAIN_FILE, compress=compress)
    return base64.b64encode(buffer.getvalue()).decode()


def zip_of_folder(path: object, *, compress: bool, exclude: Iterable[str]) -> str:
    """As `zip_of_path`, and a file is refused."""
    if isinstance(path, str | os.PathLike) and not Path(path).is_dir():
        raise ComputeHordeValidationError("path", f"{path} is no folder")
    return zip_of_path(path, compress=compress, exclude=exclude)


def zip_of_path(path: object, *, compress: bool, exclude: Iterable[str]) -> str:
    """The base64 of a zip with a file, or with all that is in a folder.

    Raises:
        ComputeHordeValidationError: something cannot be read, is no file, leads out of the folder
            by a link, or it is too much.
    """
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise ComputeHordeValidationError("path", "must be the path of a file or a folder")
    patterns = _patterns(exclude)
    try:
        # Of a link that loops, Python says so with a RuntimeError.
        return _zipped(Path(path), patterns, compress=compress)
    except (OSError, RuntimeError, ValueError) as error:
        if isinstance(error, ComputeHordeValidationError):
            raise
        raise ComputeHordeValidationError("path", f"{path!s} cannot be read: {error}") from error


def _patterns(exclude: object) -> list[str]:
    if isinstance(exclude, Iterable) and not isinstance(exclude, str | bytes):
        patterns = list(exclude)
        if all(isinstance(pattern, str) for pattern in patterns):
            return [pattern.strip("/") for pattern in patterns]
    raise ComputeHordeValidationError("exclude", "must be a list of patterns, e.g. ['*.pyc']")


def _zipped(path: Path, exclude: list[str], *, compress: bool) -> str:
    root = path.resolve(strict=True)
    found = _below(root, root, exclude) if root.is_dir() else [(root, path.name)]
    sizes = {name: _size(file, name) for file, name in found if not file.is_dir()}
    most = LARGEST_BYTES * (MOST_COMPRESSED if compress else 1)
    if sum(sizes.values()) > most:
        raise _too_much(path, sizes)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for file, name in found:
            if file.is_dir():
                archive.writestr(_member(f"{name}/", FOLDER), b"")
                continue
            mode = PROGRAM if file.stat().st_mode & EXECUTABLE else PLAIN_FILE
            _add(archive, name, file.read_bytes(), mode, compress=compress)
            if _encoded(buffer) > LARGEST_BYTES:
                raise _too_much(path, sizes)
    if _encoded(buffer) > LARGEST_BYTES:
        raise _too_much(path, sizes)
    return base64.b64encode(buffer.getvalue()).decode()


def _below(folder: Path, root: Path, exclude: list[str]) -> list[tuple[Path, str]]:
    """All files and empty folders, with their names in the zip, in the order of these."""
    found: list[tuple[Path, str]] = []
    for path in sorted(folder.iterdir()):
        name = safe_relative_path(path.relative_to(root).as_posix())
        if _is_excluded(name, exclude):
            continue
        if path.is_symlink():
            _refuse_strange_link(path, name, root)
        inside = _below(path, root, exclude) if path.is_dir() else []
        found += inside or [(path, name)]
    return found


def _is_excluded(name: str, exclude: list[str]) -> bool:
    """Whether a pattern fits the name or a part of it, or a folder which it is in."""
    parts = name.split("/")
    names = {"/".join(parts[: depth + 1]) for depth in range(len(parts))} | set(parts)
    return any(fnmatchcase(each, pattern) for pattern in exclude for each in names)


def _refuse_strange_link(path: Path, name: str, root: Path) -> None:
    target = path.resolve()
    if not target.is_relative_to(root):
        raise ComputeHordeValidationError(
            "path", f"{name} is a link that leads out of the folder; copy the file, or exclude it"
        )
    if target.is_dir():
        raise ComputeHordeValidationError(
            "path", f"{name} is a link to a folder; copy the folder, or exclude the link"
        )


def _size(file: Path, name: str) -> int:
    if not file.is_file():
        raise ComputeHordeValidationError("path", f"{name} is no regular file; exclude it")
    return file.stat().st_size


def _encoded(buffer: io.BytesIO) -> int:
    return buffer.tell() * 4 // 3


def _too_much(path: Path, sizes: dict[str, int]) -> ComputeHordeValidationError:
    largest = sorted(sizes, key=lambda name: -sizes[name])[:SHOWN_FILES]
    shown = ", ".join(f"{name} ({sizes[name]} bytes)" for name in largest)
    return ComputeHordeValidationError(
        "path",
        f"{path} has {sum(sizes.values())} bytes, and takes more than the {LARGEST_BYTES} that a"
        f" request can carry; the largest files: {shown}. Exclude large files, or put them behind"
        " a URL (HTTPInputVolume)",
    )


def _add(
    archive: zipfile.ZipFile, name: str, contents: bytes, mode: int, *, compress: bool
) -> None:
    member = _member(name, stat.S_IFREG | mode)
    member.compress_type = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    archive.writestr(member, contents)


def _member(name: str, mode: int) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, ZIP_TIME)
    member.create_system = 3  # Unix: the attributes hold a file's mode
    member.external_attr = mode << 16
    return member

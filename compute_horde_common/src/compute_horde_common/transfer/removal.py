"""Removing a tree that an enemy built: no link is followed, and no depth or mode stops it.

Directories found below the first level are moved up to it before they are emptied, so neither
recursion nor open descriptors grow with the depth.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from compute_horde_common.transfer.errors import StorageFailed

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK_AT = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OWNER_MAY_ALL = 0o700


def remove_tree(path: Path) -> None:
    """Removes the directory and everything in it; a missing one is fine.

    Raises ``StorageFailed`` when something cannot be removed, for instance files of another user
    when we are not root.
    """
    try:
        with _opened(os.fspath(path), None) as root:
            _empty(root)
        path.rmdir()
    except FileNotFoundError:
        return
    except OSError as failure:
        raise StorageFailed(f"{path} cannot be removed: {failure.strerror}") from failure


def _empty(root: int) -> None:
    while folders := _unlink_files(root):
        for name in folders:
            _flatten(name, root)
            os.rmdir(name, dir_fd=root)


def _flatten(name: str, root: int) -> None:
    with _opened(name, root) as folder:
        for inner in _unlink_files(folder):
            _move_up(inner, folder, root)


def _unlink_files(folder: int) -> list[str]:
    """Unlinks all that is no directory; returns the names of the directories."""
    folders = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
                continue
            os.unlink(entry.name, dir_fd=folder)
    return folders


def _move_up(name: str, folder: int, root: int) -> None:
    # Moving a directory writes its "..", for which others than root need its write permission.
    with suppress(PermissionError), _opened(name, folder):
        pass
    os.rename(name, f"removing-{uuid4().hex}", src_dir_fd=folder, dst_dir_fd=root)


@contextmanager
def _opened(name: str, parent: int | None) -> Iterator[int]:
    seen = os.open(name, _LOOK_AT, dir_fd=parent)
    try:
        itself = f"/proc/self/fd/{seen}"
        if os.fstat(seen).st_mode & _OWNER_MAY_ALL != _OWNER_MAY_ALL:
            os.chmod(itself, _OWNER_MAY_ALL)  # noqa: PTH101 - the link is the kernel's, to `seen`
        fd = os.open(itself, _OPEN_FOLDER & ~os.O_NOFOLLOW)
    finally:
        os.close(seen)
    try:
        yield fd
    finally:
        os.close(fd)

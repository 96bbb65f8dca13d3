"""A folder that a job filled, as one zip: stored, not deflated; only plain files, in the order of
their names. No link is followed."""

import threading
import zipfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import IO

from compute_horde_common.transfer.errors import ArchiveRefused, StorageFailed, UnsafePath
from compute_horde_common.transfer.threads import in_thread
from compute_horde_common.transfer.tree import Entry, Folder, Kind, is_sayable, is_too_deep

MAX_ENTRIES = 1000

_CHUNK_BYTES = 1024 * 1024
_LOOKED_AT = 100_000
_SAME_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Source:
    """A file that is in another folder than the rest."""

    folder: Folder
    path: str


async def pack(
    folder: Folder,
    into: Folder,
    name: str,
    *,
    max_bytes: int,
    without: Collection[str] = (),
    instead: Mapping[str, Source] | None = None,
) -> list[str]:
    """Writes the zip of ``folder`` to the file ``name``; returns what is not in it, and why.

    Args:
        folder: what to pack.
        into: where the zip goes.
        name: what it is called there.
        max_bytes: how large all files may be together.
        without: paths that are not packed.
        instead: files that are packed from elsewhere, under these names.

    Raises ``ArchiveRefused`` where there is too much to pack, ``StorageFailed``. Works in a thread,
    which stops at its next chunk when this is cancelled.
    """
    packing = _Packing(folder, max_bytes, frozenset(without), instead or {})

    def work(stop: threading.Event) -> list[str]:
        try:
            with into.open_file(name, "wb") as target:
                return packing.write(target, stop)
        except OSError as failure:
            raise StorageFailed(f"A zip cannot be stored: {failure.strerror}") from failure

    try:
        return await in_thread(work)
    except BaseException:
        into.remove_file(name)
        raise


class _Packing:
    def __init__(
        self,
        folder: Folder,
        max_bytes: int,
        without: frozenset[str],
        instead: Mapping[str, Source],
    ) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._without = without
        self._instead = instead
        self._left_out: list[str] = []
        self._size = 0

    def write(self, target: IO[bytes], stop: threading.Event) -> list[str]:
        sources = self._sources()
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
            for path in sorted(sources):
                self._add(archive, path, sources[path], stop)
        return sorted(self._left_out)

    def _sources(self) -> dict[str, Source]:
        found = {entry.path: Source(self._folder, entry.path) for entry in self._files()}
        found |= {path: each for path, each in self._instead.items() if path not in self._without}
        if len(found) > MAX_ENTRIES:
            raise ArchiveRefused(
                f"There are {len(found)} files to pack; a zip may have {MAX_ENTRIES}."
            )
        return found

    def _files(self) -> Iterator[Entry]:
        for looked_at, entry in enumerate(self._folder.walk()):
            if looked_at >= _LOOKED_AT:
                raise ArchiveRefused(f"There are more than {_LOOKED_AT} entries to pack.")
            if is_too_deep(entry):
                self._left_out.append(f"{_shown(entry.path)}/*: too deep")
            if entry.kind is Kind.FOLDER or entry.path in self._without | self._instead.keys():
                continue
            if entry.kind is not Kind.FILE or not is_sayable(entry.path):
                self._left_out.append(f"{_shown(entry.path)}: no plain file with a plain name")
                continue
            self._count(entry.size)
            yield entry

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > self._max_bytes:
            raise ArchiveRefused(
                f"The files to pack have more than {self._max_bytes} bytes together."
            )

    def _add(
        self, archive: zipfile.ZipFile, path: str, source: Source, stop: threading.Event
    ) -> None:
        try:
            file = source.folder.open_file(source.path)
        except UnsafePath as refusal:
            self._left_out.append(f"{path}: {refusal.why}")
            return
        with file, archive.open(zipfile.ZipInfo(path, _SAME_TIME), "w", force_zip64=True) as entry:
            left = self._max_bytes
            while chunk := file.read(_CHUNK_BYTES):
                left -= len(chunk)
                if stop.is_set() or left < 0:
                    raise ArchiveRefused("Packing was stopped, or a file grew meanwhile.")
                entry.write(chunk)


def _shown(path: str) -> str:
    return path.encode(errors="backslashreplace").decode()

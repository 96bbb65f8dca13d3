"""The kinds of input volume: how each comes here, and how it gets its place in /volume.

All volumes of a job come at once, into the job's scratch folder; when everything is here they are
placed one after another. So where two volumes have the same file, the later one's is there.
"""

import asyncio
import base64
import binascii
import io
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar, assert_never

from compute_horde_common.clock import Clock
from compute_horde_common.jobs.failures import JobFailed, JobFailure, JobFailureReason, Stage
from compute_horde_common.jobs.timing import Deadline
from compute_horde_common.jobs.volumes import (
    HuggingfaceVolume,
    InlineVolume,
    SimpleVolume,
    SingleFileVolume,
    ZipUrlVolume,
)
from compute_horde_common.transfer.archives import is_archive, unpack
from compute_horde_common.transfer.budget import Budget
from compute_horde_common.transfer.errors import DownloadFailed, without_secrets
from compute_horde_common.transfer.tree import Folder, JobTree, components_of

if TYPE_CHECKING:
    from compute_horde_common.transfer.fetch import Fetched, Fetcher
    from compute_horde_common.transfer.huggingface import Hub, HubFile

AT_ONCE = 4
"""Downloads of one job at the same time."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class InputRecord:
    """What came in: one archive, or one file.

    ``source`` has lost its secrets; ``path`` is below /volume. ``bytes``, ``sha256`` and ``etag``
    are those of what was received. ``None`` stands for: not known, or not of this kind.
    """

    kind: str
    source: str
    path: str
    bytes: int
    sha256: str | None = None
    etag: str | None = None
    commit: str | None = None


Place = Callable[[], Awaitable[list[InputRecord]]]
"""Puts what has been brought into /volume."""


@dataclass(frozen=True, slots=True)
class Web:
    """How a job reaches servers: its ``fetcher``, and the hub behind it, made when needed."""

    fetcher: "Fetcher"
    hub: "Callable[[Fetcher], Hub]"


class Intake:
    """What the volumes of one job share. ``web`` may be missing where all of them are inline."""

    def __init__(
        self, tree: JobTree, budget: Budget, web: Web | None, *, deadline: Deadline, clock: Clock
    ) -> None:
        self.tree = tree
        self.budget = budget
        self._web = web
        self._deadline = deadline
        self._clock = clock
        self._turns = asyncio.Semaphore(AT_ONCE)

    @property
    def web(self) -> Web:
        """The way to servers."""
        if self._web is None:
            raise AssertionError("only inline volumes do without a way to servers")
        return self._web

    @property
    def left(self) -> float:
        """Seconds until the inputs have to be there."""
        return self._deadline.left(self._clock.now())

    async def fetch(self, url: str, name: str, authorization: str | None = None) -> "Fetched":
        """Downloads to the file ``name`` of the scratch folder, when it is its turn."""
        async with self._turns:
            return await self.web.fetcher.fetch(
                url,
                self.tree.scratch,
                name,
                budget=self.budget,
                within=self.left,
                authorization=authorization,
            )

    async def unpack(self, name: str, relative_path: str | None) -> None:
        """Unpacks an archive of the scratch folder, and removes it."""
        scratch = self.tree.scratch
        with scratch.open_file(name) as archive:
            size = archive.seek(0, io.SEEK_END)
            await unpack(archive, self.folder(relative_path), budget=self.budget)
        scratch.remove_file(name)
        self.budget.give_back(size)

    def take(self, name: str, path: str) -> None:
        """Moves a file of the scratch folder to its place."""
        self.tree.volume.take_file(path, self.tree.scratch.path / name)

    def folder(self, relative_path: str | None) -> Folder:
        """A folder below /volume, made where it is missing."""
        path = plain(relative_path)
        return self.tree.volume.subfolder(path) if path else self.tree.volume


async def bring(volume: SimpleVolume, name: str, intake: Intake) -> Place:
    """Gets a volume here, to files of the scratch folder whose names begin with ``name``.

    Raises ``JobFailed``, or a ``TransferError``.
    """
    match volume:
        case InlineVolume():
            return _bring_inline(volume, intake)
        case SingleFileVolume():
            return await _bring_file(volume, name, intake)
        case ZipUrlVolume():
            return await _bring_zip(volume, name, intake)
        case HuggingfaceVolume():
            return await _bring_snapshot(volume, name, intake)
        case never:
            assert_never(never)


async def together(works: Iterable[Coroutine[object, object, Result]]) -> list[Result]:
    """Their results, in order. The first failure ends all of them, and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


def plain(path: str | None) -> str:
    """The path without empty and ``.`` components; ``..`` stays, to be refused."""
    return "/".join(part for part in (path or "").split("/") if part not in {"", "."})


def failed(reason: JobFailureReason, message: str) -> JobFailed:
    """A failure of this stage."""
    return JobFailed(JobFailure(reason=reason, stage=Stage.VOLUME_DOWNLOAD, message=message))


def _bring_inline(volume: InlineVolume, intake: Intake) -> Place:
    try:
        data = base64.b64decode(volume.contents, validate=True)
    except (binascii.Error, ValueError) as fault:
        raise failed(
            JobFailureReason.DOWNLOAD_FAILED, f"The inline volume is no base64: {fault}"
        ) from None
    if is_archive(data):
        return partial(_place_inline_archive, volume, data, intake)
    if (volume.relative_path or "/").endswith("/"):
        raise failed(
            JobFailureReason.DOWNLOAD_FAILED,
            "The inline volume is no zip, and its relative_path names no file. Send a base64 zip,"
            " or name the file that the contents are, e.g. data/version.txt.",
        )
    return partial(_place_inline_file, volume, data, intake)


async def _place_inline_archive(
    volume: InlineVolume, data: bytes, intake: Intake
) -> list[InputRecord]:
    into = intake.folder(volume.relative_path)
    await unpack(io.BytesIO(data), into, budget=intake.budget)
    return [InputRecord(volume.volume_type, "inline", plain(volume.relative_path), len(data))]


async def _place_inline_file(
    volume: InlineVolume, data: bytes, intake: Intake
) -> list[InputRecord]:
    path = plain(volume.relative_path)
    intake.budget.add_entries(_entries([path]))
    intake.budget.spend(len(data))
    intake.tree.volume.write_file(path, data)
    return [InputRecord(volume.volume_type, "inline", path, len(data))]


async def _bring_file(volume: SingleFileVolume, name: str, intake: Intake) -> Place:
    path = plain(volume.relative_path)
    intake.budget.add_entries(_entries([path]))
    fetched = await intake.fetch(volume.url, name)
    return partial(_place_file, volume, name, fetched, intake)


async def _place_file(
    volume: SingleFileVolume, name: str, fetched: "Fetched", intake: Intake
) -> list[InputRecord]:
    path = plain(volume.relative_path)
    intake.take(name, path)
    return [_record(volume.volume_type, volume.url, path, fetched)]


async def _bring_zip(volume: ZipUrlVolume, name: str, intake: Intake) -> Place:
    fetched = await intake.fetch(volume.contents, name)
    return partial(_place_zip, volume, name, fetched, intake)


async def _place_zip(
    volume: ZipUrlVolume, name: str, fetched: "Fetched", intake: Intake
) -> list[InputRecord]:
    await intake.unpack(name, volume.relative_path)
    path = plain(volume.relative_path)
    return [_record(volume.volume_type, volume.contents, path, fetched)]


async def _bring_snapshot(volume: HuggingfaceVolume, name: str, intake: Intake) -> Place:
    hub = intake.web.hub(intake.web.fetcher)
    snapshot = await hub.snapshot(volume, within=intake.left)
    paths = [_below(volume, file) for file in snapshot.files]
    intake.budget.add_entries(_entries(paths))
    intake.budget.require(sum(file.size for file in snapshot.files))
    try:
        fetched = await together(
            intake.fetch(file.url, f"{name}-{number}", hub.authorization(volume))
            for number, file in enumerate(snapshot.files)
        )
    except DownloadFailed as failure:
        raise hub.refused(volume, failure) from None
    records = [
        _record(volume.volume_type, file.url, path, got, snapshot.commit)
        for file, path, got in zip(snapshot.files, paths, fetched, strict=True)
    ]
    return partial(_place_snapshot, name, records, intake)


async def _place_snapshot(
    name: str, records: list[InputRecord], intake: Intake
) -> list[InputRecord]:
    for number, record in enumerate(records):
        intake.take(f"{name}-{number}", record.path)
    return records


def _below(volume: HuggingfaceVolume, file: "HubFile") -> str:
    folder = plain(volume.relative_path)
    return f"{folder}/{file.path}" if folder else file.path


def _entries(paths: Sequence[str]) -> int:
    """How many files and folders these files are. Raises ``UnsafePath``."""
    split = [components_of(path) for path in paths]
    return len({parts[:depth] for parts in split for depth in range(1, len(parts) + 1)})


def _record(
    kind: str, url: str, path: str, fetched: "Fetched", commit: str | None = None
) -> InputRecord:
    source = without_secrets(url)
    return InputRecord(kind, source, path, fetched.size, fetched.sha256, fetched.etag, commit)

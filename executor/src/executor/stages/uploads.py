"""Outputs on their way to where the job's author said.

Everything below /output was made by the job: no link is followed, and only plain files are read.
stdout.txt and stderr.txt are the executor's own, written where the job never was; what the job left
under these names is not used.
"""

import asyncio
import json
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from compute_horde_common.clock import Clock
from compute_horde_common.containers.interface import ContainerEngine, Stream
from compute_horde_common.jobs.failures import JobFailed, JobFailure, JobFailureReason, Stage
from compute_horde_common.jobs.timing import Deadline
from compute_horde_common.jobs.uploads import (
    MultiUpload,
    OutputUpload,
    SingleFilePostUpload,
    SingleFilePutUpload,
    ZipAndHttpPostUpload,
    ZipAndHttpPutUpload,
    ZipUpload,
    separate,
)
from compute_horde_common.transfer.errors import StorageFailed, TransferError, TransferTimedOut
from compute_horde_common.transfer.tree import JobTree
from compute_horde_common.transfer.zips import Source, pack
from executor import wiring
from executor.config import ExecutorConfig
from executor.stages.disk import check_floor

if TYPE_CHECKING:
    from compute_horde_common.transfer.send import Sender, UploadResult

UPLOADS_AT_ONCE = 3

_LOGS = "logs"
_LOG_FILES = {Stream.STDOUT: "stdout.txt", Stream.STDERR: "stderr.txt"}
_ZIP = "output.zip"
_OF_ALL_ELSE = "system_output"

Post = SingleFilePostUpload | ZipAndHttpPostUpload
Put = SingleFilePutUpload | ZipAndHttpPutUpload

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Sent:
    """What each server answered, as JSON, by the upload's name; and what no zip has, and why."""

    results: dict[str, str]
    left_out: list[str]


@dataclass(frozen=True, slots=True)
class _Parcel:
    """One upload: what it is called in the result, how it is sent, and the file, or why there is
    none."""

    name: str
    upload: Post | Put
    source: Source | TransferError


async def send_uploads(
    upload: OutputUpload | None,
    tree: JobTree,
    engine: ContainerEngine,
    container_id: str,
    config: ExecutorConfig,
    *,
    deadline: Deadline,
    clock: Clock,
) -> Sent:
    """Uploads all, a few at once.

    Every upload is tried, whatever becomes of the others.

    Raises:
        JobFailed: one of them failed or the time is over; ``context`` tells how each went.
        StorageFailed: this host's disk refused.
        EngineError: the container's output cannot be read.
    """
    if upload is None:
        return Sent({}, [])
    outbox = _Outbox(tree, config, deadline, clock)
    try:
        parcels = await outbox.packed(upload, engine, container_id)
    except TransferTimedOut as late:
        raise _failed(late) from None
    async with wiring.sender(config) as sender:
        sending = [outbox.send(parcel, sender) for parcel in parcels]
        outcomes = await _all(sending)
    names = [parcel.name for parcel in parcels]
    return Sent(_results(names, outcomes), outbox.left_out)


async def _all(sending: Sequence[Awaitable[str]]) -> list[str | TransferError]:
    found = await asyncio.gather(*sending, return_exceptions=True)
    for outcome in found:
        if isinstance(outcome, StorageFailed) or not isinstance(outcome, str | TransferError):
            raise outcome
    return [outcome for outcome in found if isinstance(outcome, str | TransferError)]


def _results(names: Sequence[str], outcomes: Sequence[str | TransferError]) -> dict[str, str]:
    """The answers; two uploads may have one name, and one that failed is never overlooked."""
    found = list(zip(names, outcomes, strict=True))
    sent = {name: outcome for name, outcome in found if isinstance(outcome, str)}
    failed = [(name, each) for name, each in found if isinstance(each, TransferError)]
    if not failed:
        return sent
    told = {"upload_results": sent, "failed": {name: str(each) for name, each in failed}}
    raise _failed(failed[0][1], told)


class _Outbox:
    """The uploads of one job."""

    def __init__(
        self, tree: JobTree, config: ExecutorConfig, deadline: Deadline, clock: Clock
    ) -> None:
        self._tree = tree
        self._config = config
        self._deadline = deadline
        self._clock = clock
        self._lanes = asyncio.Semaphore(UPLOADS_AT_ONCE)
        self.left_out: list[str] = []

    async def packed(
        self, upload: OutputUpload, engine: ContainerEngine, container_id: str
    ) -> list[_Parcel]:
        """All uploads, with their files where they have to be made first."""
        singles, whole = separate(upload), _zip_of(upload)
        logs: Mapping[str, Source] = {}
        if whole or any(each.relative_path in _LOG_FILES.values() for each in singles):
            logs = await self._within(self._logs(engine, container_id))
        parcels = [
            _Parcel(each.relative_path, each, self._source(each.relative_path, logs))
            for each in singles
        ]
        if whole is not None:
            without = {each.relative_path for each in singles}
            name = _OF_ALL_ELSE if isinstance(upload, MultiUpload) else _ZIP
            parcels.append(_Parcel(name, whole, await self._zip(without, logs)))
        return parcels

    async def send(self, parcel: _Parcel, sender: "Sender") -> str:
        """What the server answered."""
        async with self._lanes:
            result = await self._send(parcel, sender)
        return json.dumps({"headers": result.headers, "body": result.body})

    async def _send(self, parcel: _Parcel, sender: "Sender") -> "UploadResult":
        within = self._deadline.left(self._clock.now())
        upload, source = parcel.upload, parcel.source
        if isinstance(source, TransferError):
            raise source
        headers = getattr(upload, "signed_headers", None)
        if isinstance(upload, Put):
            return await sender.put(
                upload.url, source.folder, source.path, within=within, headers=headers
            )
        return await sender.post(
            upload.url,
            source.folder,
            source.path,
            within=within,
            form_fields=upload.form_fields,
            headers=headers,
        )

    def _source(self, path: str, logs: Mapping[str, Source]) -> Source:
        return logs.get(path) or Source(self._tree.output, path)

    async def _logs(self, engine: ContainerEngine, container_id: str) -> dict[str, Source]:
        """The container's whole output, on disk."""
        folder = self._tree.scratch.subfolder(_LOGS)
        try:
            with (
                folder.open_file(_LOG_FILES[Stream.STDOUT], "wb") as stdout,
                folder.open_file(_LOG_FILES[Stream.STDERR], "wb") as stderr,
            ):
                files = {Stream.STDOUT: stdout, Stream.STDERR: stderr}
                async for output in engine.follow(container_id):
                    files[output.stream].write(output.data)
        except OSError as failure:
            raise StorageFailed(f"Output cannot be stored: {failure.strerror}") from failure
        return {name: Source(folder, name) for name in _LOG_FILES.values()}

    async def _zip(self, without: set[str], logs: Mapping[str, Source]) -> Source | TransferError:
        check_floor(self._tree.path)
        packing = pack(
            self._tree.output,
            self._tree.scratch,
            _ZIP,
            max_bytes=self._config.output_zip_bytes,
            without=without,
            instead=logs,
        )
        try:
            left_out = await self._within(packing)
        except StorageFailed:
            raise
        except TransferError as refusal:
            return refusal
        self.left_out += [f"not in the zip: {line}" for line in left_out]
        return Source(self._tree.scratch, _ZIP)

    async def _within(self, work: Awaitable[Made]) -> Made:
        try:
            async with self._clock.timeout(self._deadline.left(self._clock.now())):
                return await work
        except TimeoutError:
            raise TransferTimedOut("", "no time was left") from None


def _zip_of(upload: OutputUpload) -> ZipUpload | None:
    match upload:
        case ZipAndHttpPostUpload() | ZipAndHttpPutUpload():
            return upload
        case MultiUpload():
            return upload.system_output
        case _:
            return None


def _failed(failure: TransferError, told: Mapping[str, object] | None = None) -> JobFailed:
    late = isinstance(failure, TransferTimedOut)
    return JobFailed(
        JobFailure(
            reason=JobFailureReason.TIMEOUT if late else JobFailureReason.UPLOAD_FAILED,
            stage=Stage.RESULT_UPLOAD,
            message="The uploads were not done in time" if late else str(failure),
            context=dict(told) if told else None,
        )
    )

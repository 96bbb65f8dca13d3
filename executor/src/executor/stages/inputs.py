"""What goes into /volume: one volume after another, all from one budget of bytes."""

import base64
import binascii
import io
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, assert_never

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
from compute_horde_common.transfer.archives import unpack
from compute_horde_common.transfer.budget import Budget
from compute_horde_common.transfer.errors import (
    StorageFailed,
    TransferError,
    TransferTimedOut,
)
from compute_horde_common.transfer.tree import Folder, JobTree
from executor import wiring
from executor.config import ExecutorConfig

if TYPE_CHECKING:
    from compute_horde_common.transfer.fetch import Fetcher

_ARCHIVE = "archive.zip"


async def fill_volume(
    volumes: Sequence[SimpleVolume],
    tree: JobTree,
    config: ExecutorConfig,
    *,
    deadline: Deadline,
    clock: Clock,
) -> None:
    """Returns once all volumes are in ``tree.volume``.

    Raises:
        JobFailed: one of them cannot be had, is refused, or took too long.
        StorageFailed: this host's disk refused.
    """
    try:
        async with AsyncExitStack() as stack, clock.timeout(deadline.left(clock.now())):
            inputs = _Inputs(tree, Budget(config.input_bytes), deadline, clock)
            for volume in volumes:
                await inputs.take(volume, config, stack)
    except (TimeoutError, TransferTimedOut):
        raise _failed(JobFailureReason.TIMEOUT, "The inputs were not there in time") from None
    except StorageFailed:
        raise
    except TransferError as failure:
        raise _failed(JobFailureReason.DOWNLOAD_FAILED, str(failure)) from None


class _Inputs:
    """The volumes of one job on their way in."""

    def __init__(self, tree: JobTree, budget: Budget, deadline: Deadline, clock: Clock) -> None:
        self._tree = tree
        self._budget = budget
        self._deadline = deadline
        self._clock = clock
        self._fetcher: Fetcher | None = None

    async def take(
        self, volume: SimpleVolume, config: ExecutorConfig, stack: AsyncExitStack
    ) -> None:
        match volume:
            case InlineVolume():
                await self._take_inline(volume)
            case SingleFileVolume():
                fetcher = await self._open(config, stack)
                path = _plain(volume.relative_path)
                await self._fetch(fetcher, volume.url, self._tree.volume, path)
            case ZipUrlVolume():
                await self._take_zip(volume, await self._open(config, stack))
            case HuggingfaceVolume():
                raise _failed(
                    JobFailureReason.DOWNLOAD_FAILED,
                    "Volumes of type huggingface_volume are not supported by this executor yet",
                )
            case never:
                assert_never(never)

    async def _take_inline(self, volume: InlineVolume) -> None:
        try:
            archive = base64.b64decode(volume.contents, validate=True)
        except (binascii.Error, ValueError) as fault:
            raise _failed(
                JobFailureReason.DOWNLOAD_FAILED, f"The inline volume is no base64: {fault}"
            ) from None
        into = self._folder(volume.relative_path)
        await unpack(io.BytesIO(archive), into, budget=self._budget)

    async def _take_zip(self, volume: ZipUrlVolume, fetcher: "Fetcher") -> None:
        scratch = self._tree.scratch
        size = await self._fetch(fetcher, volume.contents, scratch, _ARCHIVE)
        into = self._folder(volume.relative_path)
        with scratch.open_file(_ARCHIVE) as archive:
            await unpack(archive, into, budget=self._budget)
        scratch.remove_file(_ARCHIVE)
        self._budget.give_back(size)

    async def _fetch(self, fetcher: "Fetcher", url: str, into: Folder, path: str) -> int:
        within = self._deadline.left(self._clock.now())
        fetched = await fetcher.fetch(url, into, path, budget=self._budget, within=within)
        return fetched.size

    async def _open(self, config: ExecutorConfig, stack: AsyncExitStack) -> "Fetcher":
        if self._fetcher is None:
            self._fetcher = await stack.enter_async_context(wiring.fetcher(config))
        return self._fetcher

    def _folder(self, relative_path: str | None) -> Folder:
        path = _plain(relative_path or "")
        return self._tree.volume.subfolder(path) if path else self._tree.volume


def _plain(path: str) -> str:
    """The path without empty and ``.`` components; ``..`` stays, to be refused."""
    return "/".join(part for part in path.split("/") if part not in {"", "."})


def _failed(reason: JobFailureReason, message: str) -> JobFailed:
    return JobFailed(JobFailure(reason=reason, stage=Stage.VOLUME_DOWNLOAD, message=message))

"""What the miner hears of a job meanwhile: how far its image is, its output, and how far the job
says it is.

Nothing is said of the output of a job that ends within `FIRST_SECONDS`: its report has all of it.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Final

import structlog

from compute_horde_common.clock import Clock
from compute_horde_common.containers.interface import ContainerEngine, EngineError, PullProgress
from compute_horde_common.links.link import Link, LinkError
from compute_horde_common.protocol.live import (
    LIVE_BYTES,
    MAX_PIECE_CHARACTERS,
    MAX_PIECES,
    MAX_PROGRESS_CHARACTERS,
    JobLog,
    JobProgress,
    LogPiece,
)
from compute_horde_common.protocol.miner_executor import ExecutorToMiner, MinerToExecutor
from compute_horde_common.transfer.tree import Folder
from executor.stages.live import LiveOutput, Piece, Progress, read_progress

FIRST_SECONDS: Final = 0.5
LOOK_SECONDS: Final = 0.5
LAST_SECONDS: Final = 2.0
"""How long the end of the output may take to arrive once the container has ended."""

FED_AT_ONCE: Final = 256

_MIB = 1 << 20

log = structlog.get_logger(__name__)


class PullReport:
    """How far a job's image is on its way, said to the miner as the job's progress."""

    def __init__(self, link: Link[MinerToExecutor, ExecutorToMiner], job_uuid: str) -> None:
        self._link = link
        self._job_uuid = job_uuid
        self._latest: PullProgress | None = None
        self._news = asyncio.Event()

    def hear(self, progress: PullProgress) -> None:
        """Takes the newest state of the pull."""
        self._latest = progress
        self._news.set()

    async def tell(self) -> None:
        """Says what was heard, until it is cancelled."""
        with suppress(LinkError):
            while await self._news.wait():
                self._news.clear()
                if self._latest is not None and self._latest.total:
                    await self._link.send(self._said(self._latest))

    def _said(self, pull: PullProgress) -> JobProgress:
        percent = round(min(100.0, 100 * pull.done / pull.total), 1)
        text = f"pulling the image: {pull.done // _MIB} of {pull.total // _MIB} MiB"
        return JobProgress(job_uuid=self._job_uuid, percent=percent, text=text)


class LiveReport:
    """One running job's output and progress, said to the miner every `LOOK_SECONDS`.

    Args:
        link: to the miner.
        job_uuid: the job.
        engine: where its container is.
        container_id: its running container.
        specs: the folder with its progress file.
        clock: the time.
    """

    def __init__(
        self,
        link: Link[MinerToExecutor, ExecutorToMiner],
        job_uuid: str,
        engine: ContainerEngine,
        container_id: str,
        specs: Folder,
        clock: Clock,
    ) -> None:
        self._link = link
        self._job_uuid = job_uuid
        self._engine = engine
        self._container_id = container_id
        self._specs = specs
        self._clock = clock
        self._output = LiveOutput(LIVE_BYTES, MAX_PIECE_CHARACTERS)
        self._progress: Progress | None = None
        self._following = False
        self._ended = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Reports for as long as the block runs, and what was written last at its end."""
        following = asyncio.create_task(self._follow())
        telling = asyncio.create_task(self._tell())
        try:
            yield
            await self._last_words(following, telling)
        finally:
            telling.cancel()
            following.cancel()
            await asyncio.wait({telling, following})

    async def _follow(self) -> None:
        await self._clock.sleep_until(self._clock.now() + timedelta(seconds=FIRST_SECONDS))
        self._following = True
        try:
            count = 0
            async for output in self._engine.follow(self._container_id):
                self._output.feed(output.stream, output.data)
                count += 1
                if not count % FED_AT_ONCE:
                    # What has arrived already lets nobody else run.
                    await asyncio.sleep(0)
        except EngineError as failure:
            log.warning("output cannot be followed", reason=str(failure))

    async def _tell(self) -> None:
        with suppress(LinkError):
            while not self._ended.is_set():
                await self._pause()
                await self._say(self._output.take())
                await self._say_progress()

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with self._clock.timeout(LOOK_SECONDS):
                await self._ended.wait()

    async def _last_words(self, following: asyncio.Task[None], telling: asyncio.Task[None]) -> None:
        self._ended.set()
        if not self._following:
            return
        with suppress(TimeoutError):
            async with self._clock.timeout(LAST_SECONDS):
                await asyncio.wait({following, telling})
        with suppress(LinkError):
            await self._say(self._output.take(last=True))
            await self._say_progress()

    async def _say(self, pieces: Sequence[Piece]) -> None:
        for start in range(0, len(pieces), MAX_PIECES):
            said = [
                LogPiece(
                    number=piece.number,
                    stream=piece.stream.value,
                    text=piece.text,
                    dropped=piece.dropped,
                )
                for piece in pieces[start : start + MAX_PIECES]
            ]
            await self._link.send(JobLog(job_uuid=self._job_uuid, pieces=said))

    async def _say_progress(self) -> None:
        progress = read_progress(self._specs, MAX_PROGRESS_CHARACTERS)
        if progress is None or progress == self._progress:
            return
        self._progress = progress
        await self._link.send(
            JobProgress(job_uuid=self._job_uuid, percent=progress.percent, text=progress.text)
        )

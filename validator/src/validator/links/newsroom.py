"""What running jobs write, on its way from their miners to the facilitator.

Nothing of it is a row. A miner says all that a job wrote again on a new socket, and the
facilitator drops what it knows; so all that is held here is said again on a new link.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import structlog

from compute_horde_common.clock import Clock
from compute_horde_common.protocol.live import (
    LIVE_BYTES,
    MAX_PIECES,
    JobLog,
    JobProgress,
    LogPiece,
)

LEAST_BYTES: Final = 32
"""What a piece counts at least towards `LIVE_BYTES`."""
PIECE_OVERHEAD: Final = 512
"""What a piece takes in memory beside its text, about."""
MOST_OF_ONE: Final = 16 << 20
"""What is held of one job, overhead included: no job takes the room of all others."""
MOST_BYTES: Final = 256 << 20
"""What is held of all jobs together, overhead included."""
KEPT_FOR: Final = timedelta(seconds=60)
"""How long something is held for the next link once its job has ended."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Story:
    """What one job wrote. ``told`` counts the pieces that the present link was told."""

    job_uuid: str
    pieces: list[LogPiece] = field(default_factory=list)
    size: int = 0
    warned: bool = False
    told: int = 0
    progress: JobProgress | None = None
    progress_told: bool = False
    forget_at: datetime | None = None

    def next(self) -> JobLog | JobProgress | None:
        """The next frame for the present link."""
        if self.told < len(self.pieces):
            pieces = self.pieces[self.told : self.told + MAX_PIECES]
            self.told += len(pieces)
            return JobLog(job_uuid=self.job_uuid, pieces=pieces)
        if self.progress is not None and not self.progress_told:
            self.progress_told = True
            return self.progress
        return None

    def leave_out(self, piece: LogPiece) -> None:
        """Says, once, that output is not passed on."""
        if not self.warned:
            log.warning("output of a job is left out", job=self.job_uuid, first=piece.number)
        self.warned = True


class Newsroom:
    """Output and progress of every running job."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stories: dict[str, _Story] = {}
        self._due: dict[str, None] = {}
        """The jobs of which the present link may not know all, in the order of their turns."""
        self._news = asyncio.Event()
        self._size = 0
        self._wanted = True
        self._connected = False

    @contextmanager
    def connected(self, *, wanted: bool) -> Iterator[None]:
        """The time of one link to the facilitator. One that does not want news gets none, and
        nothing is held until the next one is there."""
        self._wanted = wanted
        self._connected = wanted
        if not wanted:
            self._forget(list(self._stories))
        for story in self._stories.values():
            story.told, story.progress_told = 0, False
            self._announce(story)
        try:
            yield
        finally:
            self._connected = False

    def hear(self, news: JobLog | JobProgress) -> None:
        """Takes what a job's miner says; again, or out of order, or too much of it."""
        if not self._wanted:
            return
        self._forget_old()
        story = self._stories.setdefault(news.job_uuid, _Story(news.job_uuid))
        story.forget_at = None
        match news:
            case JobLog():
                self._add(story, news.pieces)
            case JobProgress() if news != story.progress:
                story.progress, story.progress_told = news, False
            case JobProgress():
                return
        self._announce(story)

    async def next(self) -> JobLog | JobProgress:
        """The next frame for the present link, once there is one. Jobs take turns."""
        while True:
            while self._due:
                job_uuid = next(iter(self._due))
                del self._due[job_uuid]
                frame = self.next_of(job_uuid)
                if frame is not None:
                    self._due[job_uuid] = None
                    return frame
            self._news.clear()
            await self._news.wait()

    def next_of(self, job_uuid: str) -> JobLog | JobProgress | None:
        """The next frame of one job for the present link, out of turn."""
        story = self._stories.get(job_uuid)
        if story is None or not self._connected:
            return None
        frame = story.next()
        if frame is None and story.forget_at is not None:
            self._forget([job_uuid])
        return frame

    def ended(self, job_uuid: str) -> None:
        """Nothing more comes of a job; what there is, is held a little longer."""
        self._forget_old()
        story = self._stories.get(job_uuid)
        if story is not None:
            story.forget_at = self._clock.now() + KEPT_FOR
            self._announce(story)

    def _announce(self, story: _Story) -> None:
        self._due[story.job_uuid] = None
        self._news.set()

    def _add(self, story: _Story, pieces: list[LogPiece]) -> None:
        for piece in pieces:
            if piece.number < len(story.pieces):
                continue
            size = max(LEAST_BYTES, len(piece.text.encode()))
            if piece.number > len(story.pieces) or not self._has_room(story, size):
                story.leave_out(piece)
                return
            story.pieces.append(piece)
            story.size += size
            self._size += size + PIECE_OVERHEAD

    def _has_room(self, story: _Story, size: int) -> bool:
        grown = story.size + size
        of_one = grown + (len(story.pieces) + 1) * PIECE_OVERHEAD
        of_all = self._size + size + PIECE_OVERHEAD
        return grown <= LIVE_BYTES and of_one <= MOST_OF_ONE and of_all <= MOST_BYTES

    def _forget_old(self) -> None:
        now = self._clock.now()
        self._forget(
            [
                job_uuid
                for job_uuid, story in self._stories.items()
                if story.forget_at is not None and story.forget_at <= now
            ]
        )

    def _forget(self, job_uuids: list[str]) -> None:
        for job_uuid in job_uuids:
            story = self._stories.pop(job_uuid)
            self._due.pop(job_uuid, None)
            self._size -= story.size + len(story.pieces) * PIECE_OVERHEAD

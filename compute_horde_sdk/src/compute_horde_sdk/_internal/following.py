"""What happens to a job, as it happens: pushed by the facilitator, or else asked for."""

import asyncio
import math
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from compute_horde_common.clock import Clock
from compute_horde_sdk._internal.errors import ComputeHordeError, ComputeHordeNoPushError
from compute_horde_sdk._internal.events import (
    ComputeHordeEndEvent,
    ComputeHordeJobEvent,
    ComputeHordeLogEvent,
    ComputeHordeProgressEvent,
    ComputeHordeStatusEvent,
)
from compute_horde_sdk._internal.http import is_passing_trouble
from compute_horde_sdk._internal.results import (
    ComputeHordeJobProgress,
    ComputeHordeJobStatus,
    ComputeHordeJobStatusEntry,
    ComputeHordeLogPage,
)
from compute_horde_sdk._internal.time_limit import TimeLimit

FIRST_POLL_SECONDS = 0.1
LONGEST_POLL_SECONDS = 0.5
POLL_GROWTH = 1.5
PATIENCE = timedelta(seconds=60)
"""How long a facilitator may be out of reach until whoever waits for a job is told so."""
LAST_POLL_SECONDS = 5.0
"""How much longer than its timeout a wait may take, for the answer to its last question."""


class Source(Protocol):
    """Where to learn what happens to jobs."""

    @property
    def clock(self) -> Clock:
        """What the time is."""
        ...

    async def get_log_page(self, job_uuid: str, offset: int) -> ComputeHordeLogPage:
        """Some of what a job wrote, from the piece with the number ``offset`` on."""
        ...

    def events(
        self, job_uuid: str, *, logs: bool = True
    ) -> AsyncGenerator[ComputeHordeJobEvent, None]:
        """All that has happened to a job, and then what happens, until its `ComputeHordeEndEvent`.

        Args:
            job_uuid: the job.
            logs: whether to tell what it writes, too; what comes all the same is overlooked.

        Raises:
            ComputeHordeNoPushError: nothing is pushed (any more); ask instead.
        """
        ...


class Followed(Protocol):
    """A job that is kept up to date by following it."""

    uuid: str
    status_history: list[ComputeHordeJobStatusEntry]
    progress: ComputeHordeJobProgress | None

    @property
    def status(self) -> ComputeHordeJobStatus:
        """Where it is."""
        ...

    async def refresh(self) -> None:
        """Asks for all there is to know of it."""
        ...


async def follow(
    job: Followed, source: Source, limit: TimeLimit, *, logs: bool
) -> AsyncGenerator[ComputeHordeJobEvent, None]:
    """All that has happened to a job, and then what happens, until it has ended, or until the limit
    and a last question. The job is up to date as of each event before that is told."""
    following = _Following(job, source, limit, logs=logs)
    for events in (following.pushed(), following.asked()):
        async with aclosing(events):
            async for event in events:
                yield event


@dataclass
class _Known:
    statuses: int = 0
    offset: int = 0
    progress_at: datetime | None = None


class _Following:
    def __init__(self, job: Followed, source: Source, limit: TimeLimit, *, logs: bool) -> None:
        self._job = job
        self._source = source
        self._limit = limit
        self._logs = logs
        self._known = _Known()
        self._ended = False
        self._trouble_since: datetime | None = None

    async def pushed(self) -> AsyncGenerator[ComputeHordeJobEvent, None]:
        """What is pushed, while anything is."""
        async with aclosing(self._source.events(self._job.uuid, logs=self._logs)) as events:
            while not self._ended and (event := await self._next(events)):
                for told in await self._learnt(event):
                    yield told

    async def _next(
        self, events: AsyncGenerator[ComputeHordeJobEvent, None]
    ) -> ComputeHordeJobEvent | None:
        if self._limit.left <= 0:
            return None
        try:
            async with self._limit.leaving_at_least(0.0):
                return await anext(events)
        except (asyncio.TimeoutError, StopAsyncIteration, ComputeHordeNoPushError):
            return None

    async def _learnt(self, event: ComputeHordeJobEvent) -> list[ComputeHordeJobEvent]:
        """What to tell after an event. What the job left behind is not in its events, so its end is
        told once that was asked for."""
        match event:
            case ComputeHordeStatusEvent():
                return await self._reached(event)
            case ComputeHordeLogEvent():
                self._known.offset = event.piece.number + 1
                return [event] if self._logs else []
            case ComputeHordeProgressEvent():
                self._known.progress_at = event.progress.at
                self._job.progress = event.progress
                return [event]
            case ComputeHordeEndEvent():
                await self._refresh()
                return self._news()

    async def _reached(self, event: ComputeHordeStatusEvent) -> list[ComputeHordeJobEvent]:
        if not event.status.is_in_progress():
            return []
        if event.status.is_streaming_ready():
            await self._refresh()
        self._known.statuses += 1
        if self._known.statuses > len(self._job.status_history):
            self._job.status_history.append(event.entry)
        return [event]

    async def asked(self) -> AsyncGenerator[ComputeHordeJobEvent, None]:
        """What is found out by asking."""
        clock = self._source.clock
        pause = FIRST_POLL_SECONDS
        left = math.inf
        while not self._ended:
            async for written in self._written():
                yield written
            for news in self._news():
                yield news
            if left <= 0 or not self._job.status.is_in_progress():
                return
            left = self._limit.left
            await clock.sleep_until(clock.now() + timedelta(seconds=min(pause, left)))
            is_last = not await self._refresh() or left <= pause
            left = 0.0 if is_last else left
            pause = min(pause * POLL_GROWTH, LONGEST_POLL_SECONDS)

    async def _written(self) -> AsyncGenerator[ComputeHordeLogEvent, None]:
        while self._logs:
            page = await self._source.get_log_page(self._job.uuid, self._known.offset)
            for piece in page.pieces:
                yield ComputeHordeLogEvent(piece)
            if not page.pieces:
                return
            if page.pieces and page.next_offset <= self._known.offset:
                raise ComputeHordeError("ComputeHorde returned malformed response: next_offset")
            self._known.offset = page.next_offset

    async def _refresh(self) -> bool:
        """Whether there was an answer in time."""
        try:
            async with self._limit.leaving_at_least(LAST_POLL_SECONDS):
                await self._job.refresh()
        except asyncio.TimeoutError:
            return False
        except ComputeHordeError as error:
            if not is_passing_trouble(error) or not self._is_patient():
                raise
            return True
        self._trouble_since = None
        return True

    def _is_patient(self) -> bool:
        """Whether a facilitator that does not answer may still come back."""
        now = self._source.clock.now()
        self._trouble_since = self._trouble_since or now
        return now - self._trouble_since < PATIENCE

    def _news(self) -> list[ComputeHordeJobEvent]:
        """What the job has come to know and nobody was told."""
        job, known = self._job, self._known
        entries = job.status_history[known.statuses :]
        known.statuses = len(job.status_history)
        news: list[ComputeHordeJobEvent] = []
        if job.progress is not None and job.progress.at != known.progress_at:
            known.progress_at = job.progress.at
            news.append(ComputeHordeProgressEvent(job.progress))
        news += [ComputeHordeStatusEvent(entry) for entry in entries]
        if not job.status.is_in_progress():
            self._ended = True
            news.append(ComputeHordeEndEvent(job.status))
        return news

"""What a job writes, to be awaited or iterated over."""

from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing
from datetime import timedelta
from typing import Any

from compute_horde_sdk._internal.counting import LARGEST_OFFSET, whole_number
from compute_horde_sdk._internal.errors import ComputeHordeError, ComputeHordeNoPushError
from compute_horde_sdk._internal.events import ComputeHordeEndEvent, ComputeHordeLogEvent
from compute_horde_sdk._internal.following import LONGEST_POLL_SECONDS, Source
from compute_horde_sdk._internal.results import ComputeHordeLogPiece


class ComputeHordeJobLogs:
    """What a job writes, in pieces: ``await`` them all, or read them as they come with
    ``async for``. Made by `ComputeHordeJob.logs`; nothing is asked for before that."""

    def __init__(self, source: Source, job_uuid: str, offset: object, *, follow: bool) -> None:
        self._source = source
        self._job_uuid = job_uuid
        self._offset = int(whole_number("offset", offset, least=0, most=LARGEST_OFFSET))
        self._follow = follow

    def __await__(self) -> Generator[Any, None, list[ComputeHordeLogPiece]]:
        return self._all().__await__()

    def __aiter__(self) -> AsyncGenerator[ComputeHordeLogPiece, None]:  # noqa: PYI058 - can be closed
        return _Reading(self._source, self._job_uuid, self._offset).pieces(follow=self._follow)

    async def _all(self) -> list[ComputeHordeLogPiece]:
        return [piece async for piece in self]


class _Reading:
    def __init__(self, source: Source, job_uuid: str, offset: int) -> None:
        self._source = source
        self._job_uuid = job_uuid
        self._offset = offset
        self._ended = False

    async def pieces(self, *, follow: bool) -> AsyncGenerator[ComputeHordeLogPiece, None]:
        readings = [self._pushed(), self._asked()] if follow else [self._written()]
        for reading in readings:
            async with aclosing(reading):
                async for piece in reading:
                    yield piece

    async def _pushed(self) -> AsyncGenerator[ComputeHordeLogPiece, None]:
        async with aclosing(self._source.events(self._job_uuid)) as events:
            while not self._ended:
                try:
                    event = await anext(events)
                except (StopAsyncIteration, ComputeHordeNoPushError):
                    return
                self._ended = isinstance(event, ComputeHordeEndEvent)
                if isinstance(event, ComputeHordeLogEvent) and event.piece.number >= self._offset:
                    self._offset = event.piece.number + 1
                    yield event.piece

    async def _asked(self) -> AsyncGenerator[ComputeHordeLogPiece, None]:
        clock = self._source.clock
        while not self._ended:
            async for piece in self._written():
                yield piece
            if not self._ended:
                await clock.sleep_until(clock.now() + timedelta(seconds=LONGEST_POLL_SECONDS))

    async def _written(self) -> AsyncGenerator[ComputeHordeLogPiece, None]:
        while True:
            page = await self._source.get_log_page(self._job_uuid, self._offset)
            for piece in page.pieces:
                yield piece
            if page.pieces and page.next_offset <= self._offset:
                raise ComputeHordeError("ComputeHorde returned malformed response: next_offset")
            self._offset = page.next_offset
            if not page.pieces:
                self._ended = page.ended
                return

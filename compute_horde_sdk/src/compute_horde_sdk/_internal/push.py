"""What happens to jobs, as the facilitator sends it by itself: server-sent events.

Imported when the first job is waited for.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, aclosing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx
from httpx_sse import EventSource, ServerSentEvent, SSEError
from pydantic import ValidationError

from compute_horde_common.clock import Clock
from compute_horde_sdk._internal.answers import EndBody, EntryBody, PieceBody, ProgressBody
from compute_horde_sdk._internal.errors import ComputeHordeNoPushError
from compute_horde_sdk._internal.events import (
    ComputeHordeEndEvent,
    ComputeHordeJobEvent,
    ComputeHordeLogEvent,
    ComputeHordeProgressEvent,
    ComputeHordeStatusEvent,
)
from compute_horde_sdk._internal.http import Facilitator

logger = logging.getLogger(__name__)

MOST_STREAMS = 50
"""Of one client at a time: half of the connections that it may have."""
FIRST_EVENT_SECONDS = 5.0
"""A facilitator tells at once what it knows. Later than this, something between holds it back."""
SILENCE_SECONDS = 45.0
"""A facilitator says every 20 seconds that it is still there."""
MOST_FRUITLESS = 3
"""So many connections in a row may break without an event."""
FIRST_PAUSE_SECONDS = 0.2
ASK_AGAIN = timedelta(minutes=10)
"""How long a facilitator that does not push is not asked to."""
_NEVER = {
    httpx.codes.FORBIDDEN,
    httpx.codes.NOT_FOUND,
    httpx.codes.METHOD_NOT_ALLOWED,
    httpx.codes.NOT_ACCEPTABLE,
    httpx.codes.NOT_IMPLEMENTED,
}


class Push:
    """One facilitator's events, as long as it has any."""

    def __init__(self, facilitator: Facilitator, clock: Clock) -> None:
        self._facilitator = facilitator
        self._clock = clock
        self._open = 0
        self._not_before: datetime | None = None

    async def events(self, job: str, *, logs: bool) -> AsyncGenerator[ComputeHordeJobEvent, None]:
        """What happens to a job, until it has ended. Goes on where a connection broke.

        Raises:
            ComputeHordeNoPushError: nothing is pushed (any more).
        """
        if self._open >= MOST_STREAMS:
            raise ComputeHordeNoPushError(f"{MOST_STREAMS} streams of events are open already")
        self._open += 1
        try:
            async with aclosing(self._connections(job, logs=logs)) as events:
                async for event in events:
                    yield event
        finally:
            self._open -= 1

    async def _connections(
        self, job: str, *, logs: bool
    ) -> AsyncGenerator[ComputeHordeJobEvent, None]:
        place = _Place()
        while place.fruitless < MOST_FRUITLESS:
            await self._pause_after(place.fruitless)
            place.fruitless += 1
            async with aclosing(self._connection(job, place, logs=logs)) as events:
                async for event in events:
                    yield event
            # Told once the answer is read to its end, so that the connection can be used again.
            if place.end is not None:
                yield place.end
                return
        raise ComputeHordeNoPushError("streams of events break off again and again")

    async def _pause_after(self, fruitless: int) -> None:
        if fruitless:
            pause = timedelta(seconds=FIRST_PAUSE_SECONDS * 2**fruitless)
            await self._clock.sleep_until(self._clock.now() + pause)

    async def _connection(
        self, job: str, place: "_Place", *, logs: bool
    ) -> AsyncGenerator[ComputeHordeJobEvent, None]:
        async with AsyncExitStack() as stack:
            stack.enter_context(self._breaking())
            async with self._clock.timeout(FIRST_EVENT_SECONDS):
                response = await self._answer(job, place.last_id, logs=logs)
            stack.push_async_callback(response.aclose)
            messages = EventSource(response).aiter_sse()
            await stack.enter_async_context(aclosing(messages))
            while message := await self._next(messages, place):
                event = place.after(message)
                if event is not None:
                    yield event

    async def _next(
        self, messages: AsyncGenerator[ServerSentEvent, None], place: "_Place"
    ) -> ServerSentEvent | None:
        if place.last_id:
            return await anext(messages, None)
        async with self._clock.timeout(FIRST_EVENT_SECONDS):
            return await anext(messages, None)

    @contextmanager
    def _breaking(self) -> Iterator[None]:
        try:
            yield
        except (asyncio.TimeoutError, SSEError) as error:
            raise self._none_for_a_while("no stream of events comes through") from error
        except httpx.ReadTimeout as error:
            raise ComputeHordeNoPushError("a stream of events fell silent") from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            logger.info("stream of events broke after %s", type(error).__name__)

    async def _answer(self, job: str, last_id: str, *, logs: bool) -> httpx.Response:
        if self._not_before is not None and self._clock.now() < self._not_before:
            raise ComputeHordeNoPushError("the facilitator did not push a moment ago")
        response = await self._facilitator.stream(
            f"/jobs/{job}/events/",
            params={} if logs else {"logs": "false"},
            headers={"Accept": "text/event-stream"}
            | ({"Last-Event-ID": last_id} if last_id else {}),
            silence=SILENCE_SECONDS,
        )
        if response.is_success:
            return response
        await response.aclose()
        if response.status_code in _NEVER:
            raise self._none_for_a_while("the facilitator has no stream of events")
        raise ComputeHordeNoPushError(f"no stream of events: status {response.status_code}")

    def _none_for_a_while(self, why: str) -> ComputeHordeNoPushError:
        self._not_before = self._clock.now() + ASK_AGAIN
        return ComputeHordeNoPushError(why)


@dataclass
class _Place:
    """How far a job's events were read: ``end`` is set once its end was, ``fruitless`` is how many
    connections in a row told nothing."""

    last_id: str = ""
    fruitless: int = 0
    end: ComputeHordeEndEvent | None = None

    def after(self, message: ServerSentEvent) -> ComputeHordeJobEvent | None:
        """What a message tells, if it is not the end."""
        if not message.id:
            # A stream that breaks off could only be begun again, and would tell all twice.
            raise ComputeHordeNoPushError("events have no ids")
        self.last_id, self.fruitless = message.id, 0
        event = _event(message)
        if isinstance(event, ComputeHordeEndEvent):
            self.end = event
            return None
        return event


def _event(message: ServerSentEvent) -> ComputeHordeJobEvent | None:
    """What a message tells; ``None`` of a kind that we do not know."""
    try:
        match message.event:
            case "status":
                entry = EntryBody.model_validate_json(message.data).value()
                return ComputeHordeStatusEvent(entry)
            case "log":
                return ComputeHordeLogEvent(PieceBody.model_validate_json(message.data).value())
            case "progress":
                progress = ProgressBody.model_validate_json(message.data).value()
                return ComputeHordeProgressEvent(progress)
            case "end":
                return ComputeHordeEndEvent(EndBody.model_validate_json(message.data).status)
    except ValidationError as error:
        raise ComputeHordeNoPushError(f"malformed event: {message.event}") from error
    return None

"""Jobs while they run: cancel one, read what it writes, follow all that happens to it."""

import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Final
from uuid import UUID
from weakref import WeakSet

import structlog
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from ninja import Header, Query, Router
from pydantic_core import to_json
from typing_extensions import override

from compute_horde_common.clock import Clock
from compute_horde_common.contrib.django.db import in_database
from compute_horde_common.contrib.django.mailbox import Ear, listening
from compute_horde_common.jobs.lifecycle import JobStatus
from compute_horde_common.protocol.rest import JobView, LogPage
from facilitator import wiring
from facilitator.api.auth import Authenticated, BearerToken
from facilitator.domain.following import Cursor, News, events
from facilitator.domain.refusals import NotFound, TooMany
from facilitator.services import cancelling, following, reading
from facilitator.services.topics import job_topic

DEFAULT_PIECES: Final = 256
MOST_PIECES: Final = 1000
LARGEST_NUMBER: Final = 1 << 63
LOOK_SECONDS: Final = 5.0
"""How often a stream looks on its own, should a wake-up get lost."""
HEARTBEAT: Final = timedelta(seconds=15)
LONGEST_STREAM: Final = timedelta(hours=1)
MOST_STREAMS: Final = 20
"""Of one hotkey, in one process."""

log = structlog.get_logger(__name__)
router = Router(tags=["jobs"])

_EVENTS: Final = {
    200: {"description": "OK", "content": {"text/event-stream": {"schema": {"type": "string"}}}}
}


class AsyncBearerToken(BearerToken):
    """The same for views that do not block."""

    @override
    async def authenticate(self, request: HttpRequest, token: str) -> str:  # type: ignore[override]  # ninja awaits it
        return await in_database(super().authenticate)(request, token)


@router.post(
    "/jobs/{uuid:job_uuid}/cancel/", response={200: JobView, 202: JobView}, auth=BearerToken()
)
def cancel_job(request: Authenticated, job_uuid: UUID) -> HttpResponse:
    """Ends a job: 202 when the cancellation is on its way, 200 when the job has ended by one. It
    ends as failed, with the reason ``cancelled``. Asking again is harmless."""
    job = cancelling.cancel(job_uuid, request.auth, wiring.clock().now())
    ended = JobStatus(job.status).is_end
    status = HTTPStatus.OK if ended else HTTPStatus.ACCEPTED
    return HttpResponse(to_json(reading.view(job)), content_type="application/json", status=status)


@router.get("/jobs/{uuid:job_uuid}/logs/", response=LogPage, auth=BearerToken())
def read_logs(
    request: Authenticated,
    job_uuid: UUID,
    offset: Annotated[
        int, Query(ge=0, lt=LARGEST_NUMBER, description="Number of the first piece wanted.")
    ] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_PIECES, description="Pieces at most.")] = (
        DEFAULT_PIECES
    ),
) -> HttpResponse:
    """What a job wrote, also while it runs. ``next_offset`` is the offset of the next page; when
    ``ended`` is true there is none."""
    now = wiring.clock().now()
    page = following.log_page(job_uuid, request.auth, now, offset=offset, limit=limit)
    body = {
        "pieces": [piece.shown() for piece in page.pieces],
        "next_offset": page.next_offset,
        "ended": page.ended,
    }
    return HttpResponse(to_json(body), content_type="application/json")


@router.get(
    "/jobs/{uuid:job_uuid}/events/", auth=AsyncBearerToken(), openapi_extra={"responses": _EVENTS}
)
async def follow_job(
    request: Authenticated,
    job_uuid: UUID,
    cursor: Annotated[str, Query(description="Where to go on: the id of an event.")] = "",
    logs: Annotated[bool, Query(description="Whether to tell what it writes, too.")] = True,
    last_event_id: Annotated[str, Header(alias="Last-Event-ID")] = "",
) -> StreamingHttpResponse:
    """Server-sent events of a job until it ends: ``status``, ``log``, ``progress``, and ``end``.

    A stream is closed after an hour at the latest; go on with the id of the last event."""
    known = last_event_id or cursor
    since = Cursor.read(known) if known else Cursor()
    stream = Stream(job_uuid, request.auth, since, wiring.clock(), logs=logs)
    # Told before the stream begins, since afterwards there is no status code any more.
    await stream.look()
    stream.enter()
    response = StreamingHttpResponse(stream.frames(), content_type="text/event-stream")
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return response


class Stream:
    """One client's stream of one job's events. It holds no database connection while it waits."""

    _lock = threading.Lock()
    _open: WeakSet["Stream"] = WeakSet()
    # Weak: a client may leave before its stream is begun, and nobody says so.

    def __init__(
        self, job_uuid: UUID, hotkey: str, cursor: Cursor, clock: Clock, *, logs: bool = True
    ) -> None:
        self._job_uuid = job_uuid
        self.hotkey = hotkey
        self._cursor = cursor
        self._clock = clock
        self._pieces = DEFAULT_PIECES if logs else 0

    def enter(self) -> None:
        """Takes one of the hotkey's places, until the stream ends.

        Raises:
            TooMany: all are taken.
        """
        with self._lock:
            if sum(stream.hotkey == self.hotkey for stream in self._open) >= MOST_STREAMS:
                raise TooMany(f"You have {MOST_STREAMS} streams open; close one of them first.")
            self._open.add(self)

    async def look(self) -> News:
        """What is new.

        Raises:
            NotFound: the job is not this hotkey's, or was deleted.
        """
        read = in_database(following.news)
        return await read(
            self._job_uuid,
            self.hotkey,
            self._clock.now(),
            since=self._cursor,
            limit=self._pieces,
        )

    async def frames(self) -> AsyncIterator[bytes]:
        """What is sent to the client."""
        try:
            async with listening(job_topic(self._job_uuid), clock=self._clock) as ear:
                async for frame in self._frames(ear):
                    yield frame
        except NotFound:
            log.info("followed job is gone", job=str(self._job_uuid))
        finally:
            with self._lock:
                self._open.discard(self)

    async def _frames(self, ear: Ear) -> AsyncIterator[bytes]:
        give_up = self._clock.now() + LONGEST_STREAM
        said = self._clock.now()
        yield b": hello\n\n"
        while self._clock.now() < give_up:
            news = await self.look()
            told = self._told(news)
            if not told and self._clock.now() - said >= HEARTBEAT:
                told = [b": still here\n\n"]
            for frame in told:
                yield frame
            if told:
                said = self._clock.now()
            if news.ended and not news.more:
                return
            if not news.more:
                await ear.wait(within=LOOK_SECONDS)

    def _told(self, news: News) -> list[bytes]:
        told = list(events(news, self._cursor))
        self._cursor = told[-1].cursor if told else self._cursor
        return [event.frame() for event in told]

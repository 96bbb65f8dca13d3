"""The answering side of a websocket: any conversation, as an ASGI application.

What a peer sends waits in a bounded queue. When the peer leaves, the conversation first gets to
read what is left there, then sees `LinkClosed`, and is cancelled if it does not end on its own.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog
from typing_extensions import override

from compute_horde_common.links.link import (
    NORMAL,
    POLICY_VIOLATION,
    LinkClosed,
    LinkError,
    Pipe,
)

TOO_BIG = 1009
INTERNAL_ERROR = 1011
ABNORMAL = 1006
SEND_LIMIT_SECONDS = 60.0
READ_REST_LIMIT_SECONDS = 6.0
"""To read what came before the peer left. Daphne kills an application 10 s after that."""
LEAVE_LIMIT_SECONDS = 1.0
"""To end after having seen that the peer left."""

log = structlog.get_logger(__name__)

Scope = dict[str, Any]
Event = Mapping[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a peer said before its first frame. ``headers`` has lower-case names; ``kwargs`` come
    from the URL pattern; ``client`` is an address, empty where the server does not know it."""

    path: str
    kwargs: Mapping[str, Any]
    headers: Mapping[str, str]
    client: str
    subprotocol: str | None


class ConsumerPipe(Pipe):
    """The server's end of one websocket."""

    def __init__(self, scope: Handshake, send: Send, queue_size: int) -> None:
        self.scope = scope
        self._send = send
        self._frames: asyncio.Queue[str] = asyncio.Queue(queue_size)
        self._closed: tuple[int, str] | None = None
        self._ended = asyncio.Event()
        self.departure_seen = asyncio.Event()

    @override
    async def send_text(self, text: str) -> None:
        self._check_open()
        try:
            async with asyncio.timeout(SEND_LIMIT_SECONDS):
                await self._send({"type": "websocket.send", "text": text})
        except OSError as error:
            self.break_off(ABNORMAL, "send failed")
            raise LinkClosed(ABNORMAL, "send failed") from error

    @override
    async def receive_text(self) -> str:
        if self._frames.empty() and self._closed is None:
            await self._frame_or_end()
        if not self._frames.empty():
            return self._frames.get_nowait()
        self.departure_seen.set()
        raise LinkClosed(*(self._closed or ()))

    @override
    async def close(self, code: int = NORMAL, reason: str = "") -> None:
        if self._closed is not None:
            return
        self.break_off(code, reason)
        with suppress(OSError):
            await self._send({"type": "websocket.close", "code": code, "reason": reason})

    def feed(self, text: str) -> bool:
        """Takes a frame from the peer; false if there is no room for it."""
        try:
            self._frames.put_nowait(text)
        except asyncio.QueueFull:
            return False
        self._ended.set()
        return True

    def break_off(self, code: int, reason: str) -> None:
        """From now on there is nothing to send, and nothing to receive but what is queued."""
        self._closed = self._closed or (code, reason)
        self._ended.set()

    async def _frame_or_end(self) -> None:
        self._ended.clear()
        await self._ended.wait()

    def _check_open(self) -> None:
        if self._closed is not None:
            self.departure_seen.set()
            raise LinkClosed(*self._closed)


Converse = Callable[[ConsumerPipe], Awaitable[None]]


def conversation_consumer(
    converse: Converse,
    *,
    max_frame: int,
    queue_size: int = 64,
    subprotocols: Sequence[str] = (),
) -> Application:
    """An ASGI application that holds ``converse`` with each peer that connects.

    Args:
        converse: one conversation; the socket is closed when it returns, with 1000, or with 1011
            when it fails. It must not hold a database connection: call services through
            `in_database`.
        max_frame: longer frames (bytes) close the socket with 1009. The server has a limit of its
            own that must not be smaller.
        queue_size: how many frames may wait; one more closes the socket with 1008.
        subprotocols: what we speak; the peer's first offer among them is chosen.
    """

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if (await receive())["type"] != "websocket.connect":
            return
        handshake = _handshake(scope, subprotocols)
        await send({"type": "websocket.accept", "subprotocol": handshake.subprotocol})
        pipe = ConsumerPipe(handshake, send, queue_size)
        await _hold(pipe, converse, receive, max_frame)

    return application


def _handshake(scope: Scope, subprotocols: Sequence[str]) -> Handshake:
    offered = [name for name in scope.get("subprotocols", ()) if name in subprotocols]
    return Handshake(
        path=scope["path"],
        kwargs=scope.get("url_route", {}).get("kwargs", {}),
        headers={
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope.get("headers", ())
        },
        client=(scope.get("client") or [""])[0],
        subprotocol=offered[0] if offered else None,
    )


async def _hold(pipe: ConsumerPipe, converse: Converse, receive: Receive, max_frame: int) -> None:
    conversation = asyncio.create_task(_guarded(converse, pipe))
    feeding = asyncio.create_task(_feed(pipe, receive, max_frame))
    try:
        await asyncio.wait({conversation, feeding}, return_when=asyncio.FIRST_COMPLETED)
        if not conversation.done():
            await _let_go(conversation, pipe)
    finally:
        for task in (conversation, feeding):
            task.cancel()
        await asyncio.gather(conversation, feeding, return_exceptions=True)


async def _let_go(conversation: asyncio.Task[None], pipe: ConsumerPipe) -> None:
    seen = asyncio.create_task(pipe.departure_seen.wait())
    try:
        await asyncio.wait(
            {conversation, seen},
            timeout=READ_REST_LIMIT_SECONDS,
            return_when=asyncio.FIRST_COMPLETED,
        )
        await asyncio.wait({conversation}, timeout=LEAVE_LIMIT_SECONDS)
    finally:
        seen.cancel()


async def _guarded(converse: Converse, pipe: ConsumerPipe) -> None:
    try:
        await converse(pipe)
    except LinkError as error:
        log.info("conversation broke off", reason=str(error))
    except Exception as error:
        if not _only_link_errors(error):
            log.exception("conversation failed", path=pipe.scope.path)
            await pipe.close(INTERNAL_ERROR, "internal error")
    await pipe.close()


def _only_link_errors(error: Exception) -> bool:
    return isinstance(error, ExceptionGroup) and error.split(LinkError)[1] is None


async def _feed(pipe: ConsumerPipe, receive: Receive, max_frame: int) -> None:
    """Returns when no more frames will come."""
    while True:
        event = await receive()
        if event["type"] == "websocket.disconnect":
            pipe.break_off(event.get("code") or ABNORMAL, event.get("reason") or "peer left")
            return
        refusal = _refusal(event, max_frame)
        if refusal is None and not pipe.feed(event["text"]):
            refusal = (POLICY_VIOLATION, "too many frames at once")
        if refusal is not None:
            log.warning("peer refused", path=pipe.scope.path, reason=refusal[1])
            await pipe.close(*refusal)
            return


def _refusal(event: Event, max_frame: int) -> tuple[int, str] | None:
    text = event.get("text")
    if text is None:
        return POLICY_VIOLATION, "binary frames are not understood"
    if len(text) > max_frame or len(text.encode()) > max_frame:
        return TOO_BIG, "frame too long"
    return None

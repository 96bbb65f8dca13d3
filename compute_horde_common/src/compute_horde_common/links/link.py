"""`Link`: one typed conversation with one peer, over any `Pipe`.

Whatever a peer sends that is no message of the conversation is complained about, a bounded number
of times. Nothing reconnects behind a conversation's back: a broken pipe is `LinkClosed`.

Errors: `LinkError` is `LinkClosed`, `LinkTimeout` or `TooMuchRubbish`.
"""

from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Generic, Protocol, TypeVar, cast, overload

import structlog
from pydantic import BaseModel

from compute_horde_common.clock import Clock
from compute_horde_common.protocol.base import Codec, MalformedMessage, encode

MAX_MALFORMED_FRAMES = 16
MAX_EARLY_MESSAGES = 32
HEARTBEAT = "PING"
NORMAL = 1000
POLICY_VIOLATION = 1008

log = structlog.get_logger(__name__)

In = TypeVar("In", bound=BaseModel)
Out = TypeVar("Out", bound=BaseModel)
A = TypeVar("A", bound=BaseModel)
B = TypeVar("B", bound=BaseModel)
C = TypeVar("C", bound=BaseModel)
D = TypeVar("D", bound=BaseModel)
E = TypeVar("E", bound=BaseModel)


class LinkError(Exception):
    """A conversation cannot go on."""


class LinkClosed(LinkError):
    """The pipe is broken or was closed, by either side.

    ``code`` is the websocket close code, or None where the peer said none.
    """

    def __init__(self, code: int | None = None, reason: str = "") -> None:
        super().__init__(f"link closed: code {code}, {reason or 'no reason given'}")
        self.code = code
        self.reason = reason


class LinkTimeout(LinkError):
    """The peer did not say what was waited for; ``waited_for`` names the message classes."""

    def __init__(self, waited_for: tuple[str, ...], seconds: float) -> None:
        super().__init__(f"no {' or '.join(waited_for)} within {seconds:g} s")
        self.waited_for = waited_for
        self.seconds = seconds


class TooMuchRubbish(LinkError):
    """The peer sent more frames that do not belong here than anybody would by mistake."""


class Pipe(Protocol):
    """Text frames to and from one peer. Not more than one task receives at a time."""

    async def send_text(self, text: str) -> None:
        """Sends one frame.

        Raises:
            LinkClosed: the pipe is broken.
        """
        ...

    async def receive_text(self) -> str:
        """The next frame. What arrived before the pipe broke is still delivered.

        Raises:
            LinkClosed: the pipe is broken.
        """
        ...

    async def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Closes the pipe. Never raises `LinkClosed`; closing twice is closing once."""
        ...


class Link(Generic[In, Out]):
    """A conversation: ``In`` is what the peer says, ``Out`` what we say.

    Args:
        pipe: what carries the frames.
        codec: makes ``In`` of text.
        clock: measures ``within``.
        complain: makes the answer to a malformed frame of the reason; without it there is none.
        relevant: messages for which this is false are dropped, for pipes that several
            conversations share.
        subprotocol: what the two ends chose in their handshake, if anything.
    """

    def __init__(
        self,
        pipe: Pipe,
        codec: Codec[In],
        *,
        clock: Clock,
        complain: Callable[[str], Out] | None = None,
        relevant: Callable[[In], bool] | None = None,
        subprotocol: str | None = None,
    ) -> None:
        self.subprotocol = subprotocol
        self._pipe = pipe
        self._codec = codec
        self._clock = clock
        self._complain = complain
        self._relevant = relevant
        self._malformed = 0
        self._early: deque[In] = deque()

    async def send(self, message: Out) -> None:
        """Sends ``message``.

        Raises:
            LinkClosed: the pipe is broken.
        """
        await self._pipe.send_text(encode(message))
        log.debug("message sent", message=type(message).__name__)

    async def receive(self, *, within: float) -> In:
        """The peer's next message, whatever it is, early ones first.

        Raises:
            LinkTimeout: there was none in ``within`` seconds.
            LinkClosed: the pipe is broken.
            TooMuchRubbish: see `MAX_MALFORMED_FRAMES`; the pipe is closed.
        """
        if self._early:
            return self._early.popleft()
        try:
            async with self._clock.timeout(within):
                return await self._next()
        except TimeoutError:
            raise LinkTimeout(("message",), within) from None

    @overload
    async def expect(self, kind: type[A], /, *, within: float) -> A: ...
    @overload
    async def expect(self, kind: type[A], other: type[B], /, *, within: float) -> A | B: ...
    @overload
    async def expect(
        self, kind: type[A], other: type[B], third: type[C], /, *, within: float
    ) -> A | B | C: ...
    @overload
    async def expect(
        self, kind: type[A], other: type[B], third: type[C], fourth: type[D], /, *, within: float
    ) -> A | B | C | D: ...
    @overload
    async def expect(
        self,
        kind: type[A],
        other: type[B],
        third: type[C],
        fourth: type[D],
        fifth: type[E],
        /,
        *,
        within: float,
    ) -> A | B | C | D | E: ...
    async def expect(self, *kinds: type[BaseModel], within: float) -> BaseModel:
        """The peer's next message of one of ``kinds``; others that come before it are kept.

        Raises:
            LinkTimeout: there was none in ``within`` seconds.
            LinkClosed: the pipe is broken.
            TooMuchRubbish: too many malformed frames or messages of other kinds; the pipe is
                closed.
        """
        for message in self._early:
            if isinstance(message, kinds):
                self._early.remove(message)
                return message
        try:
            async with self._clock.timeout(within):
                return await self._next_of(kinds)
        except TimeoutError:
            raise LinkTimeout(tuple(kind.__name__ for kind in kinds), within) from None

    async def __aiter__(self) -> AsyncIterator[In]:
        """Every message until the pipe closes; early ones first."""
        try:
            while True:
                yield self._early.popleft() if self._early else await self._next()
        except LinkClosed as closed:
            log.debug("link closed", code=closed.code, reason=closed.reason)

    async def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Ends the conversation."""
        await self._pipe.close(code, reason)

    async def _next_of(self, kinds: tuple[type[BaseModel], ...]) -> BaseModel:
        while True:
            message = await self._next()
            if isinstance(message, kinds):
                return cast("BaseModel", message)
            await self._keep(message)

    async def _keep(self, message: In) -> None:
        if len(self._early) >= MAX_EARLY_MESSAGES:
            await self._give_up("too many messages out of turn")
        log.debug("message kept for later", message=type(message).__name__)
        self._early.append(message)

    async def _next(self) -> In:
        while True:
            text = await self._pipe.receive_text()
            if text == HEARTBEAT:
                continue
            try:
                message = self._codec.decode(text)
            except MalformedMessage as malformed:
                await self._object(malformed.reason)
                continue
            if self._relevant is None or self._relevant(message):
                log.debug("message received", message=type(message).__name__)
                return message
            log.debug("message of another conversation", message=type(message).__name__)

    async def _object(self, reason: str) -> None:
        self._malformed += 1
        log.warning("malformed frame", reason=reason, seen=self._malformed)
        if self._malformed > MAX_MALFORMED_FRAMES:
            await self._give_up("too many malformed frames")
        if self._complain is not None:
            await self.send(self._complain(reason))

    async def _give_up(self, reason: str) -> None:
        await self._pipe.close(POLICY_VIOLATION, reason)
        raise TooMuchRubbish(reason)

"""Pipes between two real ends, with somebody in between who counts, loses and cuts."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from typing_extensions import override

from compute_horde_common.clock import SystemClock
from compute_horde_common.links.link import NORMAL, LinkError, Pipe
from compute_horde_common.links.memory import pipe_pair
from tests.conversations.sides import PATIENCE, Side, as_side

HASTE = 200


class HastyClock(SystemClock):
    """The machine's clock, on which pauses are short and limits are not."""

    @override
    async def sleep_until(self, when: datetime) -> None:
        now = self.now()
        await super().sleep_until(now + max(timedelta(0), when - now) / HASTE)


@dataclass(frozen=True, slots=True)
class Damage:
    """What goes wrong on a wire.

    ``cut_after`` so many frames of both ends it breaks, the last of which arrives unless it
    ``loses_last``. After ``answers`` frames the end that was dialled is not heard any more.
    """

    cut_after: int | None = None
    loses_last: bool = False
    answers: int | None = None


SOUND = Damage()


@dataclass
class Wire:
    """One socket: its two ends, and the frames that each of them said."""

    damage: Damage = SOUND
    dialled: list[str] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        near, far = pipe_pair()
        self.dialling: Pipe = _End(near, self, self.dialled)
        self.answering: Pipe = _End(far, self, self.answered)

    def judge(self, said: list[str]) -> tuple[bool, bool]:
        """Whether the last frame arrives, and whether the wire breaks with it."""
        limit = self.damage.answers
        cut = len(self.dialled) + len(self.answered) == self.damage.cut_after
        muted = said is self.answered and limit is not None and len(said) > limit
        return not (muted or (cut and self.damage.loses_last)), cut


class _End(Pipe):
    def __init__(self, pipe: Pipe, wire: Wire, said: list[str]) -> None:
        self._pipe = pipe
        self._wire = wire
        self._said = said

    @override
    async def send_text(self, text: str) -> None:
        self._said.append(text)
        arrives, cut = self._wire.judge(self._said)
        if arrives:
            await self._pipe.send_text(text)
        if cut:
            await self.close(1006, "cut")

    @override
    async def receive_text(self) -> str:
        return await self._pipe.receive_text()

    @override
    async def close(self, code: int = NORMAL, reason: str = "") -> None:
        await self._pipe.close(code, reason)


class Line:
    """By which one end dials the other.

    Args:
        side: of the end that answers.
        answer: that end's part of one conversation.
        damages: of the first sockets; all later ones are sound.
    """

    def __init__(
        self,
        side: Side,
        answer: Callable[[Pipe], Coroutine[object, object, None]],
        *damages: Damage,
    ) -> None:
        self._side = side
        self._answer = answer
        self._damages = list(damages)
        self.wires: list[Wire] = []

    @asynccontextmanager
    async def dial(self) -> AsyncIterator[Pipe]:
        """A pipe on which the other end answers. At the end of the block, that end has left."""
        wire = Wire(self._damages.pop(0) if self._damages else SOUND)
        self.wires.append(wire)
        answering = as_side(self._side, self._answer(wire.answering))
        try:
            yield wire.dialling
        finally:
            await wire.dialling.close()
            await left(answering)

    async def opened(self) -> Wire:
        """The first socket, once it is open."""
        async with asyncio.timeout(PATIENCE):
            while not self.wires:  # noqa: ASYNC110 - the list is the event
                await asyncio.sleep(0)
        return self.wires[0]


async def left(conversation: "asyncio.Task[None]") -> None:
    """Returns once a conversation has ended; a broken link is a fine end."""
    done, _ = await asyncio.wait({conversation}, timeout=PATIENCE)
    if not done:
        conversation.cancel()
        raise AssertionError("a conversation does not end although its link is closed")
    error = None if conversation.cancelled() else conversation.exception()
    rest = error.split(LinkError)[1] if isinstance(error, BaseExceptionGroup) else error
    if rest is not None and not isinstance(rest, LinkError):
        raise rest

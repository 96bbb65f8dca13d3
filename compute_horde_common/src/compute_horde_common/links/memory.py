"""A pipe without a network: what one end sends, the other receives."""

import asyncio
from dataclasses import dataclass, field

from typing_extensions import override

from compute_horde_common.links.link import NORMAL, LinkClosed, Pipe


def pipe_pair() -> tuple[Pipe, Pipe]:
    """The two ends of one pipe. Closing either closes both; frames under way still arrive."""
    wire = _Wire()
    return _MemoryPipe(wire, wire.there, wire.back), _MemoryPipe(wire, wire.back, wire.there)


@dataclass(slots=True)
class _Wire:
    there: asyncio.Queue[str | None] = field(default_factory=asyncio.Queue)
    back: asyncio.Queue[str | None] = field(default_factory=asyncio.Queue)
    closed: tuple[int, str] | None = None


class _MemoryPipe(Pipe):
    """None in a queue says that nothing comes after it."""

    def __init__(
        self, wire: _Wire, outgoing: asyncio.Queue[str | None], incoming: asyncio.Queue[str | None]
    ) -> None:
        self._wire = wire
        self._outgoing = outgoing
        self._incoming = incoming

    @override
    async def send_text(self, text: str) -> None:
        if self._wire.closed is not None:
            raise LinkClosed(*self._wire.closed)
        self._outgoing.put_nowait(text)

    @override
    async def receive_text(self) -> str:
        text = await self._incoming.get()
        if text is None:
            self._incoming.put_nowait(None)
            raise LinkClosed(*(self._wire.closed or ()))
        return text

    @override
    async def close(self, code: int = NORMAL, reason: str = "") -> None:
        if self._wire.closed is not None:
            return
        self._wire.closed = (code, reason)
        self._outgoing.put_nowait(None)
        self._incoming.put_nowait(None)

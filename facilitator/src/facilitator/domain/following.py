"""What who follows a job is told, in which order, and from where it goes on later."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from heapq import merge
from operator import attrgetter

from pydantic_core import to_json
from typing_extensions import override

from facilitator.domain.output import Piece
from facilitator.domain.refusals import Malformed
from facilitator.domain.views import Entry, Progress, entry_view

_CURSOR = re.compile("([0-9]{1,18})-([0-9]{1,18})-([0-9]{1,18})")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Cursor:
    """How much somebody knows of a job: so many statuses, the pieces before a number, and progress
    until a moment (Unix time in microseconds)."""

    statuses: int = 0
    piece: int = 0
    progress: int = 0

    @classmethod
    def read(cls, text: str) -> "Cursor":
        """The cursor that an event had as its id.

        Raises:
            Malformed: it is none.
        """
        found = _CURSOR.fullmatch(text)
        if found is None:
            raise Malformed({"cursor": [f"{text[:64]!r} is no id of an event."]})
        return cls(*map(int, found.groups()))

    @override
    def __str__(self) -> str:
        return f"{self.statuses}-{self.piece}-{self.progress}"


@dataclass(frozen=True, slots=True)
class News:
    """What there is of a job beyond a cursor. ``more``: there are pieces after these; ``ended``:
    nothing will follow."""

    status: str
    entries: Sequence[Entry]
    pieces: Sequence[Piece]
    progress: Progress | None
    more: bool
    ended: bool


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job; who knows it and all before it has ``cursor``."""

    kind: str
    cursor: Cursor
    data: object

    def frame(self) -> bytes:
        """As a server-sent event."""
        head = f"id: {self.cursor}\nevent: {self.kind}\ndata: "
        return head.encode() + to_json(self.data) + b"\n\n"


@dataclass(frozen=True, slots=True)
class _Told:
    at: datetime
    kind: str
    data: object
    known: dict[str, int]


def events(news: News, cursor: Cursor) -> Iterator[Event]:
    """What to tell whoever has a cursor, in the order of time; at one moment output comes first.
    While there are more pieces, what came after these is left for later."""
    told = merge(
        _logs(news.pieces), _progress(news, cursor), _statuses(news, cursor), key=attrgetter("at")
    )
    for one in told:
        if news.more and one.kind != "log" and one.at >= news.pieces[-1].at:
            continue
        cursor = replace(cursor, **one.known)
        yield Event(one.kind, cursor, one.data)
    if news.ended and not news.more:
        yield Event("end", cursor, {"status": news.status})


def in_turn(pieces: Sequence[Piece], first: int, at: datetime, patience: timedelta) -> list[Piece]:
    """The pieces from number ``first`` on that can be shown: what lies after a gap waits for what
    is missing, but not longer than ``patience``."""
    shown: list[Piece] = []
    for piece in pieces:
        if piece.number != first and piece.at > at - patience:
            break
        shown.append(piece)
        first = piece.number + 1
    return shown


def _logs(pieces: Sequence[Piece]) -> Iterator[_Told]:
    for piece in pieces:
        yield _Told(piece.at, "log", piece.shown(), {"piece": piece.number + 1})


def _progress(news: News, cursor: Cursor) -> Iterator[_Told]:
    progress = news.progress
    if progress is None:
        return
    moment = (progress.at - _EPOCH) // timedelta(microseconds=1)
    if moment > cursor.progress:
        yield _Told(progress.at, "progress", progress.shown(), {"progress": moment})


def _statuses(news: News, cursor: Cursor) -> Iterator[_Told]:
    for number, entry in enumerate(news.entries, start=cursor.statuses + 1):
        yield _Told(entry.at, "status", entry_view(entry), {"statuses": number})

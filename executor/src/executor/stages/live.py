"""A running job's output in numbered pieces, within a budget whatever the job writes.

The first half of the budget is spent freely. Then each look may spend only a small part of what is
left, and the newest output wins; a quarter is kept for what the job writes last. What is dropped
is counted in the piece that follows it.
"""

import codecs
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from compute_horde_common.containers.interface import Stream
from compute_horde_common.transfer.errors import TransferError
from compute_horde_common.transfer.tree import Folder

PROGRESS_FILE = "progress"
"""In /specs. One line: a number from 0 to 100, then words: ``42.5 epoch 3 of 7``."""

_PENDING_BYTES = 1 << 20
_SHARE = 64
_PROGRESS_BYTES = 1024
_WHOLE = 100.0


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of output. ``dropped`` bytes are missing just before it."""

    number: int
    stream: Stream
    text: str
    dropped: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job says it is, in percent, and its words about it."""

    percent: float
    text: str


class LiveOutput:
    """Output on its way to pieces.

    Args:
        budget: how many bytes all pieces may have together, in UTF-8.
        longest: how many characters one piece may have.
    """

    def __init__(self, budget: int, longest: int) -> None:
        self._budget = budget
        self._longest = longest
        self._spent = 0
        self._decoders = {
            stream: codecs.getincrementaldecoder("utf-8")("replace") for stream in Stream
        }
        self._pending: deque[tuple[Stream, str, int]] = deque()
        self._pending_bytes = 0
        self._dropped = 0
        self._number = 0
        self._held = False

    def feed(self, stream: Stream, data: bytes) -> None:
        """Takes the next bytes of a stream."""
        text = self._decoders[stream].decode(data).replace("\0", "\ufffd")
        if not text:
            return
        size = _size(text)
        self._pending.append((stream, text, size))
        self._pending_bytes += size
        while self._pending_bytes > _PENDING_BYTES and len(self._pending) > 1:
            size = self._pending.popleft()[2]
            self._pending_bytes -= size
            self._dropped += size

    def take(self, *, last: bool = False) -> list[Piece]:
        """What may be passed on now. An unfinished line is held back once, unless it is the last
        call."""
        runs = [
            (stream, "".join(text for _, text, _ in entries))
            for stream, entries in groupby(self._pending, key=itemgetter(0))
        ]
        self._pending.clear()
        self._pending_bytes = 0
        if not last:
            self._hold_back(runs)
        kept = self._newest(runs, self._allowance(last=last))
        return [self._piece(*cut) for run in kept for cut in self._cut(*run)]

    def _hold_back(self, runs: list[tuple[Stream, str]]) -> None:
        if self._held or not runs:
            self._held = False
            return
        stream, text = runs[-1]
        whole, newline, rest = text.rpartition("\n")
        if not rest or len(rest) > self._longest:
            return
        runs[-1:] = [(stream, whole + newline)] if newline else []
        self._pending.append((stream, rest, _size(rest)))
        self._pending_bytes += _size(rest)
        self._held = True

    def _allowance(self, *, last: bool) -> int:
        left = self._budget - self._spent
        if last:
            return left
        free = max(0, left - self._budget // 4)
        return max(self._budget // 2 - self._spent, free // _SHARE)

    def _newest(self, runs: list[tuple[Stream, str]], allowed: int) -> list[tuple[Stream, str]]:
        """The end of the runs, as much as is allowed; the rest is dropped."""
        kept: deque[tuple[Stream, str]] = deque()
        for stream, text in reversed(runs):
            size = _size(text)
            end = text if size <= allowed else _end_of(text, allowed)
            allowed -= _size(end)
            self._dropped += size - _size(end)
            if end:
                kept.appendleft((stream, end))
            if end != text:
                allowed = 0
        return list(kept)

    def _cut(self, stream: Stream, text: str) -> Iterator[tuple[Stream, str]]:
        start = 0
        while start < len(text):
            end = start + self._longest
            if end < len(text):
                end = text.rfind("\n", start, end) + 1 or end
            yield stream, text[start:end]
            start = end

    def _piece(self, stream: Stream, text: str) -> Piece:
        piece = Piece(self._number, stream, text, self._dropped)
        self._number += 1
        self._dropped = 0
        self._spent += _size(text)
        return piece


def read_progress(specs: Folder, longest: int) -> Progress | None:
    """What the job says in its progress file; None where there is none, or nonsense."""
    try:
        with specs.open_file(PROGRESS_FILE) as file:
            line = file.read(_PROGRESS_BYTES).decode(errors="replace").partition("\n")[0]
    except TransferError:
        return None
    number, _, words = line.strip().partition(" ")
    try:
        percent = float(number.removesuffix("%"))
    except ValueError:
        return None
    if not 0 <= percent <= _WHOLE:
        return None
    text = "".join(char for char in words.strip() if char.isprintable())
    return Progress(percent, text[:longest])


def _end_of(text: str, size: int) -> str:
    return text.encode()[-size:].decode(errors="ignore") if size else ""


def _size(text: str) -> int:
    return len(text.encode())

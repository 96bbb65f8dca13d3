"""A running job's output in numbered pieces, within a budget whatever the job writes.

The first half of the budget is spent freely. Then each look may spend only a small part of what is
left, and the newest output wins; a quarter is kept for what the job writes last. What is dropped
is counted in the piece that follows it.
"""

import codecs
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

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
        self._pending: deque[tuple[Stream, str]] = deque()
        self._pending_bytes = 0
        self._dropped = 0
        self._number = 0
        self._held = False

    def feed(self, stream: Stream, data: bytes) -> None:
        """Takes the next bytes of a stream."""
        self._add(stream, self._decoders[stream].decode(data).replace("\0", "\ufffd"))
        self._drop_to(_PENDING_BYTES)

    def take(self, *, last: bool = False) -> list[Piece]:
        """What may be passed on now. An unfinished line is held back once, unless it is the last
        call."""
        held = None if last else self._hold_back()
        self._drop_to(self._allowance(last=last))
        pieces = [self._piece(stream, text) for stream, text in self._cut()]
        if held:
            self._add(*held)
        return pieces

    def _add(self, stream: Stream, text: str) -> None:
        if not text:
            return
        if self._pending and self._pending[-1][0] is stream:
            text = self._pop_last() + text
        self._pending.append((stream, text))
        self._pending_bytes += _size(text)

    def _pop_last(self) -> str:
        _, text = self._pending.pop()
        self._pending_bytes -= _size(text)
        return text

    def _hold_back(self) -> tuple[Stream, str] | None:
        if self._held or not self._pending:
            self._held = False
            return None
        stream, text = self._pending[-1]
        whole, newline, rest = text.rpartition("\n")
        if not rest or len(rest) > self._longest:
            return None
        self._pop_last()
        self._add(stream, whole + newline)
        self._held = True
        return stream, rest

    def _allowance(self, *, last: bool) -> int:
        left = self._budget - self._spent
        if last:
            return left
        free = max(0, left - self._budget // 4)
        return max(self._budget // 2 - self._spent, free // _SHARE)

    def _drop_to(self, size: int) -> None:
        """Drops the oldest of what is pending."""
        while self._pending and self._pending_bytes > size:
            stream, text = self._pending.popleft()
            self._pending_bytes -= _size(text)
            excess = max(0, _size(text) + self._pending_bytes - size)
            kept = text.encode()[excess:].decode(errors="ignore")
            self._dropped += _size(text) - _size(kept)
            if kept:
                self._pending.appendleft((stream, kept))
                self._pending_bytes += _size(kept)
                return

    def _cut(self) -> Iterator[tuple[Stream, str]]:
        while self._pending:
            stream, text = self._pending.popleft()
            self._pending_bytes -= _size(text)
            while text:
                end = len(text)
                if end > self._longest:
                    end = text.rfind("\n", 0, self._longest) + 1 or self._longest
                yield stream, text[:end]
                text = text[end:]

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


def _size(text: str) -> int:
    return len(text.encode())

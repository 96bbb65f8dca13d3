"""Output of jobs, as their authors read it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from pydantic import JsonValue

from compute_horde_common.protocol.live import MAX_PIECE_CHARACTERS
from facilitator.domain.views import Entry, metadata_of

Shown = dict[str, JsonValue | datetime]

_STREAMS = (("stdout", "docker_process_stdout"), ("stderr", "docker_process_stderr"))


@dataclass(frozen=True, slots=True)
class Piece:
    """A numbered piece of output; ``dropped`` bytes are missing just before it."""

    number: int
    stream: str
    text: str
    dropped: int
    at: datetime

    def shown(self) -> Shown:
        """As the API shows it."""
        return {
            "number": self.number,
            "stream": self.stream,
            "text": self.text,
            "dropped": self.dropped,
            "created_at": self.at,
        }


def pieces_of_result(ending: Entry) -> list[Piece]:
    """The output in a job's result or failure, in pieces: first all of stdout, then stderr."""
    told = metadata_of(ending)
    texts = (
        (stream, text)
        for member in ("miner_response", "job_failure_details")
        for stream, name in _STREAMS
        for text in _cut(told.get(member), name)
    )
    return [
        Piece(number, stream, text, 0, ending.at) for number, (stream, text) in enumerate(texts)
    ]


def _cut(member: JsonValue, name: str) -> Iterator[str]:
    text = member.get(name) if isinstance(member, dict) else None
    if not isinstance(text, str):
        return
    for start in range(0, len(text), MAX_PIECE_CHARACTERS):
        yield text[start : start + MAX_PIECE_CHARACTERS]

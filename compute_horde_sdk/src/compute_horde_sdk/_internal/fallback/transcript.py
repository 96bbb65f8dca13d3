"""What a machine's log says about the job on it: what `pod.runner` wrote, among other lines."""

import base64
import binascii
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from compute_horde_common.python310 import UTC
from compute_horde_sdk._internal.answers import EntryBody
from compute_horde_sdk._internal.results import ComputeHordeLogPiece

MARK = "@compute-horde "

ENDS = {"completed", "failed", "horde_failed"}

Json = dict[str, Any]


@dataclass
class Transcript:
    """The course of a job as far as its machine has told it.

    ``history``, ``upload_results`` and ``progress`` have the form that facilitators give them.
    """

    history: list[Json] = field(default_factory=list)
    pieces: list[ComputeHordeLogPiece] = field(default_factory=list)
    artifacts: dict[str, bytes] = field(default_factory=dict)
    upload_results: dict[str, str] = field(default_factory=dict)
    progress: Json | None = None

    @property
    def has_ended(self) -> bool:
        """Whether the job's last word is there."""
        return bool(self.history) and self.history[-1]["status"] in ENDS

    def written(self, stream: str) -> str:
        """All that the job wrote to a stream."""
        return "".join(piece.text for piece in self.pieces if piece.stream == stream)

    def take(self, said: Json) -> None:
        """Notes one line."""
        at = datetime.fromtimestamp(float(said["at"]), UTC)
        match said:
            case {"status": str(status), "metadata": dict(metadata)}:
                entry = {"status": status, "created_at": at.isoformat(), "metadata": metadata}
                EntryBody.model_validate(entry)
                self.history.append(entry)
            case {"stream": str(stream), "text": str(text)}:
                number = len(self.pieces)
                dropped = int(said.get("dropped", 0))
                self.pieces.append(ComputeHordeLogPiece(number, stream, text, dropped, at))
            case {"artifact": str(path), "piece": str(piece)}:
                self.artifacts[path] = self.artifacts.get(path, b"") + base64.b64decode(piece)
            case {"upload_results": dict(answers)}:
                self.upload_results = {path: json.dumps(said) for path, said in answers.items()}
            case {"percent": float(percent) | int(percent), "text": str(text)}:
                self.progress = {"percent": percent, "text": text, "at": at.isoformat()}


def read(log: str) -> Transcript:
    """What a log tells. Lines of others, and lines that came damaged, are passed over."""
    transcript = Transcript()
    told: set[int] = set()
    for line in log.splitlines():
        _, mark, text = line.partition(MARK)
        if not mark:
            continue
        try:
            said = json.loads(text)
            # A log that is asked for again after a broken connection has lines twice.
            if said["n"] not in told:
                told.add(said["n"])
                transcript.take(said)
        except (ValueError, TypeError, LookupError, OverflowError, RecursionError, binascii.Error):
            continue
    return transcript

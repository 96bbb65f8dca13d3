"""What is known of one local job, as a facilitator would show it."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime

from pydantic import BaseModel

from compute_horde_common.clock import Clock
from compute_horde_common.jobs.failures import JobFailure, JobFailureReason, Stage
from compute_horde_common.jobs.lifecycle import JobStatus
from compute_horde_common.jobs.spec import JobSpec
from compute_horde_common.protocol.facilitator_validator import MinerResponse, StatusMetadata
from compute_horde_common.protocol.live import MAX_PIECE_CHARACTERS, LogPiece
from compute_horde_common.protocol.rest import (
    JobCreate,
    JobView,
    LogPage,
    LogPieceView,
    ProgressView,
    StatusEntry,
)

STAGES = {
    JobStatus.ACCEPTED: Stage.EXECUTOR_STARTUP,
    JobStatus.EXECUTOR_READY: Stage.VOLUME_DOWNLOAD,
    JobStatus.VOLUMES_READY: Stage.EXECUTION,
    JobStatus.STREAMING_READY: Stage.EXECUTION,
    JobStatus.EXECUTION_DONE: Stage.RESULT_UPLOAD,
}
"""The stage that follows each status."""


class LocalJob:
    """One job; whoever reads it may wait for `changed`.

    Args:
        uuid: its name.
        asked: what its author sent.
        clock: the time.

    Attributes:
        uuid: its name.
        spec: what it asks for.
        told: all that happened, oldest first: the name of each event and what is said of it.
        changed: set when something happened; another one stands here from then on.
    """

    def __init__(self, uuid: str, asked: JobCreate, clock: Clock) -> None:
        self.uuid = uuid
        self.spec: JobSpec = asked.spec()
        self.told: list[tuple[str, BaseModel | dict[str, str]]] = []
        self.changed = asyncio.Event()
        self._asked = asked
        self._clock = clock
        self._created_at = clock.now()
        self._history: list[StatusEntry] = []
        self._pieces: list[LogPieceView] = []
        self._progress: ProgressView | None = None
        self._cancelled_at: datetime | None = None

    @property
    def status(self) -> JobStatus:
        """Where it is."""
        return self._history[-1].status

    @property
    def stage(self) -> Stage:
        """What it is at."""
        return STAGES.get(self.status, Stage.EXECUTOR_STARTUP)

    @property
    def was_cancelled(self) -> bool:
        """Whether it has ended because its author wanted that."""
        metadata = self._history[-1].metadata
        failure = metadata.job_failure_details if metadata else None
        return failure is not None and failure.reason == JobFailureReason.CANCELLED

    def move(self, to: JobStatus, metadata: StatusMetadata | None = None) -> None:
        """Notes that it has come to a status. One that has ended stays there."""
        if self._history and self.status.is_end:
            return
        entry = StatusEntry(
            status=to, metadata=metadata or StatusMetadata(), created_at=self._clock.now()
        )
        if to.is_end and not self._pieces:
            self.write(_pieces_of(entry))
        self._history.append(entry)
        self._tell("status", entry)
        if to.is_end:
            self._tell("end", {"status": to.value})

    def write(self, pieces: Iterable[LogPiece]) -> None:
        """Notes output; a piece that is known already is left out."""
        for piece in pieces:
            if piece.number != len(self._pieces):
                continue
            view = LogPieceView(
                number=piece.number,
                stream=piece.stream,
                text=_storable(piece.text),
                dropped=piece.dropped,
                created_at=self._clock.now(),
            )
            self._pieces.append(view)
            self._tell("log", view)

    def note_progress(self, percent: float, text: str) -> None:
        """Notes how far it says it is."""
        self._progress = ProgressView(percent=percent, text=_storable(text), at=self._clock.now())
        self._tell("progress", self._progress)

    def note_cancellation(self) -> None:
        """Notes that its author wants it ended."""
        self._cancelled_at = self._cancelled_at or self._clock.now()

    def page(self, offset: int, limit: int) -> LogPage:
        """Some of its output."""
        pieces = self._pieces[offset : offset + limit]
        following = offset + len(pieces)
        ended = self.status.is_end and following >= len(self._pieces)
        return LogPage(pieces=pieces, next_offset=following, ended=ended)

    def view(self) -> JobView:
        """All of it."""
        found = {entry.status: entry.metadata for entry in self._history}
        completed = found.get(JobStatus.COMPLETED)
        result = completed.miner_response if completed else None
        streaming = found.get(JobStatus.STREAMING_READY)
        server = streaming.streaming_details if streaming else None
        details = self.spec.streaming_details
        return JobView(
            **self._asked.model_dump(exclude={"streaming_details", "streaming_start_time_limit"}),
            uuid=self.uuid,
            created_at=self._created_at,
            last_update=self._history[-1].created_at,
            status=self.status.label,
            stdout=result.docker_process_stdout if result else "",
            stderr=result.docker_process_stderr if result else "",
            artifacts=(result.artifacts if result else None) or {},
            upload_results=(result.upload_results if result else None) or {},
            streaming_start_time_limit=self.spec.streaming_start_time_limit,
            streaming_client_cert=details.public_key if details else "",
            streaming_server_cert=server.streaming_server_cert if server else "",
            streaming_server_address=server.streaming_server_address if server else "",
            streaming_server_port=server.streaming_server_port if server else 0,
            cancel_requested_at=self._cancelled_at,
            progress=self._progress,
            status_history=self._history,
        )

    def _tell(self, kind: str, what: BaseModel | dict[str, str]) -> None:
        self.told.append((kind, what))
        self.changed.set()
        self.changed = asyncio.Event()


def _pieces_of(ending: StatusEntry) -> Sequence[LogPiece]:
    """The output in a job's result or failure: first all of stdout, then stderr."""
    metadata = ending.metadata or StatusMetadata()
    told: MinerResponse | JobFailure | None = (
        metadata.miner_response or metadata.job_failure_details
    )
    if told is None:
        return []
    output = (("stdout", told.docker_process_stdout), ("stderr", told.docker_process_stderr))
    cut = (
        (stream, text[start : start + MAX_PIECE_CHARACTERS])
        for stream, text in output
        if text
        for start in range(0, len(text), MAX_PIECE_CHARACTERS)
    )
    return [
        LogPiece.model_validate({"number": number, "stream": stream, "text": text})
        for number, (stream, text) in enumerate(cut)
    ]


def _storable(text: str) -> str:
    """As on the network, which keeps no NUL."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")

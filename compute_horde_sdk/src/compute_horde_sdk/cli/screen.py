"""What a user sees of a job that runs.

What the job writes goes to stdout and stderr as it is; everything else goes to stderr.
"""

import sys
from datetime import datetime
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text
from typing_extensions import override

from compute_horde_sdk.cli import documents, endings, printing
from compute_horde_sdk.cli.printing import foreign
from compute_horde_sdk.v1 import (
    ComputeHordeEndEvent,
    ComputeHordeJob,
    ComputeHordeJobEvent,
    ComputeHordeJobProgress,
    ComputeHordeJobStatus,
    ComputeHordeLogEvent,
    ComputeHordeLogPiece,
    ComputeHordeProgressEvent,
    ComputeHordeStatusEvent,
)

_WORDS = {
    ComputeHordeJobStatus.SENT: "the facilitator has it",
    ComputeHordeJobStatus.RECEIVED: "its validator has it",
    ComputeHordeJobStatus.ACCEPTED: "a miner reserved a slot for it",
    ComputeHordeJobStatus.EXECUTOR_READY: "an executor is up and has the image",
    ComputeHordeJobStatus.VOLUMES_READY: "inputs are in place, it runs",
    ComputeHordeJobStatus.STREAMING_READY: "it can be reached",
    ComputeHordeJobStatus.EXECUTION_DONE: "it exited with 0, outputs are sent",
}


class Screen(Protocol):
    """Where the course of a job is shown."""

    def created(self, job: ComputeHordeJob, attempt: int) -> None:
        """The facilitator has a job."""
        ...

    def event(self, event: ComputeHordeJobEvent) -> None:
        """Something happened to it."""
        ...

    def note(self, text: str, fix: str = "") -> None:
        """There is something to say beside."""
        ...

    def hint(self, text: str) -> None:
        """Likewise, and it is not needed."""
        ...

    def ended(self, job: ComputeHordeJob) -> None:
        """It has ended, and no other attempt follows."""
        ...

    def close(self) -> None:
        """Nothing more is shown. May be called twice."""
        ...


class JsonLines(Screen):
    """One line of JSON on stdout for each event."""

    @override
    def created(self, job: ComputeHordeJob, attempt: int) -> None:
        printing.print_json_line({"event": "created", "uuid": job.uuid, "attempt": attempt})

    @override
    def event(self, event: ComputeHordeJobEvent) -> None:
        if not isinstance(event, ComputeHordeEndEvent):
            printing.print_json_line(documents.event_document(event))

    @override
    def note(self, text: str, fix: str = "") -> None:
        printing.print_json_line({"event": "note", "text": text, "fix": fix})

    @override
    def hint(self, text: str) -> None:
        pass

    @override
    def ended(self, job: ComputeHordeJob) -> None:
        status = endings.exit_status(job)
        document = documents.job_document(job)
        printing.print_json_line(
            {"event": "end", "horde_exit_status": int(status), "job": document}
        )

    @override
    def close(self) -> None:
        pass


class Lines(Screen):
    """Lines of text. ``is_quiet`` leaves out all but what the job writes and what goes wrong."""

    def __init__(self, *, is_quiet: bool = False) -> None:
        self.console: Console = printing.err()
        self._is_quiet = is_quiet
        self._began: datetime | None = None

    @override
    def created(self, job: ComputeHordeJob, attempt: int) -> None:
        again = f" (attempt {attempt})" if attempt > 1 else ""
        self._began = None
        self.line(foreign(f"job {job.uuid}{again}", "bold"))

    @override
    def event(self, event: ComputeHordeJobEvent) -> None:
        match event:
            case ComputeHordeStatusEvent():
                self.status(event)
            case ComputeHordeLogEvent():
                self.written(event.piece)
            case ComputeHordeProgressEvent():
                self.progress(event.progress)
            case ComputeHordeEndEvent():
                pass

    @override
    def note(self, text: str, fix: str = "") -> None:
        self.console.print(foreign(text, "yellow"))
        if fix:
            self.console.print(foreign(fix, "cyan"))

    @override
    def hint(self, text: str) -> None:
        self.line(foreign(text, "dim"))

    @override
    def ended(self, job: ComputeHordeJob) -> None:
        self.close()
        if job.status.is_successful():
            self.line(
                foreign(f"{self._time(job.status_history[-1].created_at)} completed", "green")
            )
            return
        self.console.print(foreign(f"job {endings.sentence(job)}", "red"))
        if fix := endings.advice(job):
            self.console.print(foreign(fix, "cyan"))

    @override
    def close(self) -> None:
        pass

    def status(self, event: ComputeHordeStatusEvent) -> None:
        """The job reached a status."""
        self._began = self._began or event.entry.created_at
        if event.status.is_in_progress():
            name = event.status.value
            words = _WORDS.get(event.status, "")
            time = self._time(event.entry.created_at)
            self.line(Text.assemble((time, "dim"), f" {name:<15} ", (words, "dim")))

    def progress(self, progress: ComputeHordeJobProgress) -> None:
        """The job said how far it is."""
        text = f"{self._time(progress.at)} {progress.percent:.0f} % {progress.text}"
        self.line(foreign(text.rstrip(), "dim"))

    def written(self, piece: ComputeHordeLogPiece) -> None:
        """The job wrote something."""
        if piece.dropped:
            self.note(f"({piece.dropped} bytes of output are missing here)")
        write_raw(piece)

    def line(self, text: Text) -> None:
        """Says something that is not needed."""
        if not self._is_quiet:
            self.console.print(text)

    def _time(self, at: datetime) -> str:
        seconds = (at - self._began).total_seconds() if self._began else 0.0
        return f"{seconds:6.1f} s"


class Terminal(Lines):
    """Lines of text, and a live one below them with the stage, a progress bar and the time."""

    def __init__(self) -> None:
        super().__init__()
        self._shares_screen = sys.stdout.isatty()
        self._is_mid_line = False
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[said]}", markup=False),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
        )
        self._task = self._bar.add_task("sending", total=None, said="")
        self._bar.start()

    @override
    def created(self, job: ComputeHordeJob, attempt: int) -> None:
        super().created(job, attempt)
        self._bar.reset(self._task, total=None, description="sent", said="")

    @override
    def status(self, event: ComputeHordeStatusEvent) -> None:
        super().status(event)
        self._bar.update(self._task, description=event.status.value)

    @override
    def progress(self, progress: ComputeHordeJobProgress) -> None:
        said = printing.plain(f"{progress.percent:.0f} % {progress.text}").replace("\n", " ")
        self._bar.update(self._task, total=100, completed=progress.percent, said=said)

    @override
    def written(self, piece: ComputeHordeLogPiece) -> None:
        if not self._shares_screen:
            super().written(piece)
            return
        # What is written mid-line must not be overwritten by the live line, which stays away then.
        self._bar.stop()
        super().written(piece)
        self._is_mid_line = not piece.text.endswith("\n")
        if not self._is_mid_line:
            self._bar.start()

    @override
    def line(self, text: Text) -> None:
        self._leave_line()
        super().line(text)

    @override
    def note(self, text: str, fix: str = "") -> None:
        self._leave_line()
        super().note(text, fix)

    @override
    def close(self) -> None:
        self._bar.stop()
        self._leave_line()
        self._bar.stop()

    def _leave_line(self) -> None:
        if self._is_mid_line:
            self._is_mid_line = False
            self.console.print()
            self._bar.start()


def screen_for(*, is_json: bool, is_quiet: bool) -> Screen:
    """The screen that fits where output goes."""
    if is_json:
        return JsonLines()
    if sys.stderr.isatty() and not is_quiet:
        return Terminal()
    return Lines(is_quiet=is_quiet)


def write_raw(piece: ComputeHordeLogPiece) -> None:
    """Passes on what a job wrote, byte for byte."""
    stream: TextIO = sys.stderr if piece.stream == "stderr" else sys.stdout
    stream.flush()
    stream.buffer.write(piece.text.encode("utf-8", "replace"))
    stream.buffer.flush()

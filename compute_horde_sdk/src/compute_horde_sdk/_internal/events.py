"""What happens to a job, as it is told to whoever follows it."""

from dataclasses import dataclass

from compute_horde_sdk._internal.results import (
    ComputeHordeJobProgress,
    ComputeHordeJobStatus,
    ComputeHordeJobStatusEntry,
    ComputeHordeLogPiece,
)


@dataclass(frozen=True)
class ComputeHordeStatusEvent:
    """The job reached a status: a line of its history."""

    entry: ComputeHordeJobStatusEntry

    @property
    def status(self) -> ComputeHordeJobStatus:
        """The status."""
        return self.entry.status


@dataclass(frozen=True)
class ComputeHordeLogEvent:
    """The job wrote something."""

    piece: ComputeHordeLogPiece


@dataclass(frozen=True)
class ComputeHordeProgressEvent:
    """The job said how far it is."""

    progress: ComputeHordeJobProgress


@dataclass(frozen=True)
class ComputeHordeEndEvent:
    """The job has ended; nothing follows."""

    status: ComputeHordeJobStatus


ComputeHordeJobEvent = (
    ComputeHordeStatusEvent
    | ComputeHordeLogEvent
    | ComputeHordeProgressEvent
    | ComputeHordeEndEvent
)
"""Anything that can happen to a job."""

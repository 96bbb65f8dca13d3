"""A job's limits, and the one deadline that runs through its stages.

Each stage adds its own limit to the deadline; time that a stage did not need is left to the
later ones (the live network's rule). All limits are whole seconds.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict, Field

MAX_LIMIT_SECONDS = 86_400
LEEWAY_SECONDS = 5
RESERVATION_SECONDS = 7
STARTUP_SECONDS = 5
"""What an executor may take on top of its class's spin-up time, before it is ready."""

LimitSeconds = Field(ge=0, le=MAX_LIMIT_SECONDS)


class Limits(BaseModel):
    """How long each stage of a job may take, in seconds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    download: int = LimitSeconds
    execution: int = LimitSeconds
    upload: int = LimitSeconds
    streaming_start: int = Field(default=0, ge=0, le=MAX_LIMIT_SECONDS)
    leeway: int = Field(default=LEEWAY_SECONDS, ge=0, le=600)

    @property
    def total(self) -> int:
        """All stages together, leeway included."""
        return self.leeway + self.download + self.streaming_start + self.execution + self.upload


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment by which a stage must have ended."""

    at: datetime

    @classmethod
    def starting(cls, now: datetime, seconds: float) -> "Deadline":
        """The deadline ``seconds`` after ``now``."""
        return cls(now + timedelta(seconds=seconds))

    def extended(self, seconds: float) -> "Deadline":
        """The deadline of the next stage, which may take ``seconds`` more."""
        return Deadline(self.at + timedelta(seconds=seconds))

    def left(self, now: datetime) -> float:
        """Seconds until the deadline; 0 once it has passed."""
        return max(0.0, (self.at - now).total_seconds())

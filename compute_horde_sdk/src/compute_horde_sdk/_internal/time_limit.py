"""How long a user is willing to wait."""

import contextlib
import math
from contextlib import AbstractAsyncContextManager
from datetime import timedelta

from compute_horde_common.clock import Clock
from compute_horde_sdk._internal.errors import ComputeHordeValidationError

LONGEST_SECONDS = 1e9


class TimeLimit:
    """A number of seconds from now on, or no limit at all (``None`` or infinity).

    Raises:
        ComputeHordeValidationError: the seconds are no number.
    """

    def __init__(self, seconds: float | None, clock: Clock) -> None:
        if not _is_duration(seconds):
            raise ComputeHordeValidationError("timeout", "must be a number of seconds, or None")
        self._clock = clock
        self._end = None
        if seconds is not None and seconds < LONGEST_SECONDS:
            self._end = clock.now() + timedelta(seconds=max(seconds, 0.0))

    @property
    def left(self) -> float:
        """Seconds until it has passed, 0 afterwards; infinity if there is none."""
        if self._end is None:
            return math.inf
        return max(0.0, (self._end - self._clock.now()).total_seconds())

    def leaving_at_least(self, seconds: float) -> AbstractAsyncContextManager[object]:
        """A block that raises ``TimeoutError`` at the limit, but not before ``seconds``."""
        if self._end is None:
            return contextlib.nullcontext()
        return self._clock.timeout(max(self.left, seconds))


def _is_duration(seconds: object) -> bool:
    return isinstance(seconds, int | None) or (
        isinstance(seconds, float) and not math.isnan(seconds)
    )

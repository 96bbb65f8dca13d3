"""How often jobs are checked on the trusted miner.

A fixed rate of 1 or 2 % finds a miner that always cheats within about 150 jobs, but one that cheats
with every tenth job only after 1,500: see `jobs_needed`. `AdaptiveSampling` checks often at first,
and less as checks go well.
"""

import json
import math
import secrets
import threading

from typing_extensions import Self

from compute_horde_common.python310 import StrEnum
from compute_horde_sdk._internal.errors import ComputeHordeValidationError

CONFIDENCE = 0.95
FIRST_RATE = 0.2
LEAST_RATE = 0.01
DEFAULT_RATE = 0.02
SMALLEST_SHARE = 1e-9
RANDOM_BITS = 53


class Verdict(StrEnum):
    """What a cross-validation came to."""

    MATCH = "match"
    MISMATCH = "mismatch"
    NOT_SAMPLED = "not_sampled"
    UNDECIDED = "undecided"


def jobs_needed(sample: float, cheat_rate: float, confidence: float = CONFIDENCE) -> int:
    """Jobs after which a cheater is caught at least once.

    Each job is checked with probability q (``sample``) and cheated with probability p
    (``cheat_rate``), so n jobs go by uncaught with probability (1 - qp)^n; that is at most
    1 - c (``confidence``) from n = ln(1 - c) / ln(1 - qp) on.

    Raises:
        ComputeHordeValidationError: a number is not above 0, or above 1; ``confidence`` is 1.
    """
    for name, share in (("sample", sample), ("cheat_rate", cheat_rate), ("confidence", confidence)):
        if not _is_share(share) or share < SMALLEST_SHARE:
            raise ComputeHordeValidationError(name, "must be a number above 0 and up to 1")
    if confidence == 1:
        raise ComputeHordeValidationError("confidence", "must be below 1; nothing is that sure")
    caught = sample * cheat_rate
    return 1 if caught == 1 else math.ceil(math.log1p(-confidence) / math.log1p(-caught))


class AdaptiveSampling:
    """A rate of checks that falls as they go well, and starts again after one that did not.

    After n checks in a row that matched, cheat rates above 1 - (1 - c)^(1/n) are excluded with
    confidence c; the rate of checks is in proportion to that: all of ``first`` at n = 0, a tenth of
    it at n = 28 for c = 0.95, and never below ``least``.

    Keep one for each kind of job (namespace, image, class): facilitators do not say which miner ran
    a job, so it cannot be kept for each miner. May be shared by clients and threads.

    Args:
        first: the rate without any check, and after a mismatch; from 0 to 1.
        least: the rate below which it does not fall.
        confidence: c of the formula.
        matches: checks in a row that have matched.

    Raises:
        ComputeHordeValidationError: a rate is no number from 0 to 1, or they contradict each other.
    """

    def __init__(
        self,
        *,
        first: float = FIRST_RATE,
        least: float = LEAST_RATE,
        confidence: float = CONFIDENCE,
        matches: int = 0,
    ) -> None:
        for name, share in (("first", first), ("least", least), ("confidence", confidence)):
            if not _is_share(share):
                raise ComputeHordeValidationError(name, "must be a number from 0 to 1")
        if least > first:
            raise ComputeHordeValidationError("least", "must not be above first")
        if not 0 < confidence < 1:
            raise ComputeHordeValidationError("confidence", "must be between 0 and 1")
        if not _is_count(matches):
            raise ComputeHordeValidationError("matches", "must be a number of checks, 0 or more")
        self.first = first
        self.least = least
        self.confidence = confidence
        self.matches = matches
        self._lock = threading.Lock()

    @property
    def rate(self) -> float:
        """The share of jobs that is checked at present."""
        not_excluded = 1.0
        if self.matches:
            not_excluded -= (1 - self.confidence) ** (1 / self.matches)
        return max(self.least, self.first * not_excluded)

    def learn(self, verdict: Verdict) -> None:
        """Takes in what a check came to; `cross_validate` does so by itself."""
        with self._lock:
            if verdict is Verdict.MATCH:
                self.matches += 1
            if verdict is Verdict.MISMATCH:
                self.matches = 0

    def to_json(self) -> str:
        """All of it, to be kept while the program does not run."""
        kept = {name: getattr(self, name) for name in ("first", "least", "confidence", "matches")}
        return json.dumps(kept)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` gave.

        Raises:
            ComputeHordeValidationError: it did not give this.
        """
        try:
            return cls(**json.loads(text))
        except (TypeError, ValueError, RecursionError) as error:
            problem = f"is no kept AdaptiveSampling: {error}"
            raise ComputeHordeValidationError("text", problem) from None


def rate_of(sample: "float | AdaptiveSampling") -> float:
    """The share of jobs to check.

    Raises:
        ComputeHordeValidationError: it is no number from 0 to 1.
    """
    if isinstance(sample, AdaptiveSampling):
        return sample.rate
    if not _is_share(sample):
        raise ComputeHordeValidationError(
            "sample", "must be a number from 0 (never) to 1 (always), or an AdaptiveSampling"
        )
    return sample


def is_drawn(rate: float) -> bool:
    """True with probability ``rate``, in a way that nobody foresees."""
    return secrets.randbits(RANDOM_BITS) < rate * (1 << RANDOM_BITS)


def _is_share(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return 0 <= value <= 1


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0

"""What a look at one thing found, and what to do about it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

CHECK_SECONDS = 10.0


class State(StrEnum):
    """How well something is. Only a failure keeps the service from its work."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found; ``fix`` says what to do where not all is well."""

    state: State
    found: str
    fix: str = ""


def ok(found: str) -> Finding:
    """All is well."""
    return Finding(State.OK, found)


def warn(found: str, fix: str) -> Finding:
    """It works, or may; somebody should look."""
    return Finding(State.WARN, found, fix)


def fail(found: str, fix: str) -> Finding:
    """It does not work."""
    return Finding(State.FAIL, found, fix)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at.

    Attributes:
        name: what it is, in a word or two.
        look: looks at it; whatever it raises counts as a failure.
        needs: names of earlier checks without whose success this one could tell nothing.
        seconds: how long a look may take.
    """

    name: str
    look: Callable[[], Awaitable[Finding]]
    needs: tuple[str, ...] = ()
    seconds: float = CHECK_SECONDS

"""Whether two results of the same job are the same.

A comparator takes the result of an ordinary miner and that of the trusted one, and returns `None`
where they agree; else a `Difference`, a text, or `False`. It may be a coroutine
function. `exact` and `json_equal` make two that are often right.

What the ordinary miner gave may be anything: a comparator that fails over it accuses nobody, so it
should say that there is a difference instead.
"""

import inspect
import json
import math
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TypeGuard

from compute_horde_common.python310 import StrEnum
from compute_horde_sdk._internal.errors import ComputeHordeError, ComputeHordeValidationError
from compute_horde_sdk._internal.results import ComputeHordeJobResult

STDOUT = "stdout"
SHOWN_CHARACTERS = 200
CONTEXT_CHARACTERS = 40


@dataclass(frozen=True)
class Difference:
    """The first place in which two results differ.

    Attributes:
        where: the place: ``stdout``, ``artifacts['/artifacts/a.json']``, ``stdout: $.loss[3]``.
        actual: what the ordinary miner gave there, shortened.
        expected: what the trusted miner gave there, shortened.
    """

    where: str
    actual: str
    expected: str

    def __str__(self) -> str:
        return f"{self.where}: {self.actual} is not {self.expected}"


_Said = Difference | str | bool | None
Comparator = Callable[[ComputeHordeJobResult, ComputeHordeJobResult], _Said | Awaitable[_Said]]
"""Says how two results differ: the ordinary miner's, then the trusted one's."""


def exact(*, stdout: bool = True, stderr: bool = False, artifacts: bool = True) -> Comparator:
    """A comparator that wants the same bytes.

    Args:
        stdout: compare what the jobs wrote there.
        stderr: likewise; off, since times and warnings are written there.
        artifacts: compare names and contents of all artifacts.

    Raises:
        ComputeHordeValidationError: nothing is left to compare.

    Jobs that both left nothing behind are no match: that is undecided.
    """
    if not (stdout or stderr or artifacts):
        raise ComputeHordeValidationError("compare", "must compare something")

    def compare(result: ComputeHordeJobResult, trusted: ComputeHordeJobResult) -> Difference | None:
        streams = [(STDOUT, stdout), ("stderr", stderr)]
        left = [getattr(each, name) for each in (result, trusted) for name, on in streams if on]
        left += [each.artifacts for each in (result, trusted)] if artifacts else []
        if not any(left):
            raise ComputeHordeError("there is nothing to compare: both jobs left nothing behind")
        for name in [name for name, wanted in streams if wanted]:
            actual, expected = getattr(result, name), getattr(trusted, name)
            if actual != expected:
                return _texts_differ(name, actual, expected)
        return _artifacts_differ(result.artifacts, trusted.artifacts) if artifacts else None

    return compare


def json_equal(*, where: str = STDOUT, rel_tol: float = 1e-6, abs_tol: float = 0.0) -> Comparator:
    """A comparator of one JSON document, whose numbers may differ a little.

    Args:
        where: ``stdout``, or the path of an artifact.
        rel_tol: how much numbers may differ, in parts of the larger one (`math.isclose`).
        abs_tol: how much numbers may differ, as a number.

    Raises:
        ComputeHordeValidationError: a tolerance is no number from 0 on.
    """
    for name, tolerance in (("rel_tol", rel_tol), ("abs_tol", abs_tol)):
        if not _is_number(tolerance) or not 0 <= tolerance < math.inf:
            raise ComputeHordeValidationError(name, "must be a number from 0 on")

    def compare(result: ComputeHordeJobResult, trusted: ComputeHordeJobResult) -> Difference | None:
        expected = _document(trusted, where)
        try:
            actual = _document(result, where)
        except ComputeHordeError as error:
            return Difference(where, str(error), "a JSON document")
        found = _Close(rel_tol, abs_tol).differences(actual, expected)
        return next((_placed(where, *place) for place in found), None)

    return compare


def comparator(compare: object) -> Comparator:
    """What was given as one; `exact` for ``None``.

    Raises:
        ComputeHordeValidationError: it is none.
    """
    if compare is None:
        return exact()
    if compare is exact or compare is json_equal or not callable(compare):
        raise ComputeHordeValidationError(
            "compare", "must be exact(), json_equal() or a function of both results"
        )
    return compare


async def difference_between(
    compare: Comparator, result: ComputeHordeJobResult, trusted: ComputeHordeJobResult
) -> Difference | None:
    """What a comparator says, in one form, and in a size and text that can be sent."""
    said = compare(result, trusted)
    verdict = await said if inspect.isawaitable(said) else said
    if verdict is None or verdict is True:
        return None
    if not isinstance(verdict, Difference | str | bool):
        # Other things that are true or false, numpy's say, must accuse nobody by their type.
        raise ComputeHordeError(
            "a comparator must return None, a bool, a text or a Difference, and this one returned"
            f" {type(verdict).__name__}"
        )
    if isinstance(verdict, Difference):
        sides = shown(str(verdict.actual)), shown(str(verdict.expected))
        return Difference(shown(str(verdict.where)), *sides)
    return Difference("result", shown(str(verdict or "differs")), "the trusted miner's")


def _artifacts_differ(actual: dict[str, bytes], expected: dict[str, bytes]) -> Difference | None:
    for path in sorted({*actual, *expected}):
        if actual.get(path) != expected.get(path):
            where = f"artifacts[{path!r}]"
            return _bytes_differ(where, actual.get(path), expected.get(path))
    return None


def _bytes_differ(where: str, actual: bytes | None, expected: bytes | None) -> Difference:
    if actual is None or expected is None:
        sides = ["absent" if side is None else f"{len(side)} bytes" for side in (actual, expected)]
        return Difference(where, *sides)
    place = _first_difference(actual, expected)
    sides = [repr(side[_near(place)]) for side in (actual, expected)]
    return Difference(f"{where} at byte {place}", *sides)


def _texts_differ(where: str, actual: str, expected: str) -> Difference:
    place = _first_difference(actual, expected)
    sides = [repr(side[_near(place)]) for side in (actual, expected)]
    return Difference(f"{where} at character {place}", *sides)


def _first_difference(actual: str | bytes, expected: str | bytes) -> int:
    pairs = enumerate(zip(actual, expected, strict=False))
    return next((n for n, (a, e) in pairs if a != e), min(len(actual), len(expected)))


def _near(place: int) -> slice:
    return slice(max(0, place - CONTEXT_CHARACTERS), place + CONTEXT_CHARACTERS)


def _document(result: ComputeHordeJobResult, where: str) -> object:
    """The JSON at a place of a result.

    Raises:
        ComputeHordeError: there is none.
    """
    text = result.stdout if where == STDOUT else result.artifacts.get(where)
    if text is None:
        raise ComputeHordeError("there is no such artifact")
    try:
        document: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ComputeHordeError(f"no JSON: {error}") from None
    return document


_Pair = tuple[str, object, object]


class _Absent(StrEnum):
    """What stands for a member that an object does not have; equal to no text that it may have."""

    ABSENT = "absent"


@dataclass(frozen=True)
class _Close:
    rel_tol: float
    abs_tol: float

    def differences(self, actual: object, expected: object) -> Iterator[_Pair]:
        """Path and values of each place where two documents are not close enough, in their order.

        Documents may be nested deeper than functions can be.
        """
        waiting: list[_Pair] = [("$", actual, expected)]
        while waiting:
            path, one, other = waiting.pop()
            match one, other:
                case dict(), dict():
                    waiting += reversed(_members(path, one, other))
                case list(), list() if len(one) == len(other):
                    waiting += reversed(_items(path, one, other))
                case list(), list():
                    yield path, f"{len(one)} items", f"{len(other)} items"
                case _ if not self._are_close(one, other):
                    yield path, one, other

    def _are_close(self, actual: object, expected: object) -> bool:
        if not (_is_number(actual) and _is_number(expected)):
            return type(actual) is type(expected) and actual == expected
        if actual != actual or expected != expected:  # noqa: PLR0124 - so is no other than NaN
            return actual != actual and expected != expected  # noqa: PLR0124
        try:
            return math.isclose(actual, expected, rel_tol=self.rel_tol, abs_tol=self.abs_tol)
        except OverflowError:
            # One of them is an integer that is too large for a float.
            return actual == expected


def _members(path: str, one: dict[str, object], other: dict[str, object]) -> list[_Pair]:
    return [
        (f"{path}.{name}", one.get(name, _Absent.ABSENT), other.get(name, _Absent.ABSENT))
        for name in sorted({*one, *other})
    ]


def _items(path: str, one: list[object], other: list[object]) -> list[_Pair]:
    pairs = enumerate(zip(one, other, strict=True))
    return [(f"{path}[{place}]", mine, theirs) for place, (mine, theirs) in pairs]


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _placed(where: str, path: str, actual: object, expected: object) -> Difference:
    return Difference(f"{where}: {path}", str(actual), str(expected))


def shown(text: str) -> str:
    """A text that is short, and can be sent."""
    start = text[:SHOWN_CHARACTERS].encode(errors="replace").decode()
    return start if len(text) <= SHOWN_CHARACTERS else f"{start}..."

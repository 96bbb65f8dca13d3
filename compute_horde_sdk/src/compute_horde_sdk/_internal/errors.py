"""Everything that the SDK raises.

    ComputeHordeError
    ├── ComputeHordeAPIError          the facilitator refused; has its status code and reasons
    │   ├── ComputeHordeCancelError
    │   └── ComputeHordeNotFoundError
    ├── ComputeHordeJobFailedError    a job ended badly, and it was asked for an error (`job`)
    ├── ComputeHordeJobTimeoutError   also a TimeoutError
    ├── ComputeHordeNoPushError       nothing is pushed; jobs are asked for instead
    └── ComputeHordeValidationError   also a ValueError; nothing was sent

A job that ended badly is an error only where one is asked for: `raise_for_status`, or
``wait(raise_on_failure=True)``. Otherwise look at its ``status`` and ``error``.
"""

from collections.abc import Iterator

from pydantic import ValidationError
from pydantic_core import from_json

SHOWN_BODY_CHARACTERS = 2000
SHOWN_FAULTS = 5


class ComputeHordeError(Exception):
    """Anything that goes wrong in the SDK. ``__cause__`` has the underlying error, if any."""


class ComputeHordeAPIError(ComputeHordeError):
    """The facilitator answered with an error.

    Attributes:
        status_code: the HTTP status.
        body: the whole text of the answer.
        reasons: what is wrong, by the field in which it is; empty where no field is named.
        detail: the reasons as one text; the body, if it has another form.
    """

    def __init__(self, message: str = "", *, status_code: int = 0, body: str = "") -> None:
        super().__init__(message)
        self.status_code = status_code
        self.body = body
        self.detail, self.reasons = _told(body)

    @classmethod
    def answered(cls, status_code: int, body: str) -> "ComputeHordeAPIError":
        """The error for an answer."""
        return cls(
            f"ComputeHorde responded with status code {status_code}"
            f" and text {body[:SHOWN_BODY_CHARACTERS]}",
            status_code=status_code,
            body=body,
        )


class ComputeHordeNotFoundError(ComputeHordeAPIError):
    """There is no such job, or it belongs to another hotkey."""


class ComputeHordeCancelError(ComputeHordeAPIError):
    """The job cannot be cancelled, for example because it has ended; the text says why."""


class ComputeHordeNoPushError(ComputeHordeError):
    """The facilitator does not tell by itself what happens to a job; it has to be asked."""


class ComputeHordeJobTimeoutError(ComputeHordeError, TimeoutError):
    """A job did not get there in time. It goes on running; ``job_uuid`` names it, where known."""

    def __init__(self, message: str = "", *, job_uuid: str | None = None) -> None:
        super().__init__(message)
        self.job_uuid = job_uuid


class ComputeHordeValidationError(ComputeHordeError, ValueError):
    """Something that cannot work was asked for; it was not sent. ``field`` names what to change,
    ``problem`` says why and to what."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem

    def __reduce__(self) -> tuple[type["ComputeHordeValidationError"], tuple[str, str]]:
        return type(self), (self.field, self.problem)

    @classmethod
    def of(
        cls, error: ValidationError, *, inside: str = "", names: dict[str, str] | None = None
    ) -> "ComputeHordeValidationError":
        """The error that tells the first fault that pydantic found, and the next ones after it.

        ``inside`` is the field that was checked; ``names`` are the user's names of fields.
        """
        faults = [
            (_field(fault["loc"], inside, names or {}), fault["msg"].removeprefix("Value error, "))
            for fault in error.errors(include_url=False, include_context=False)[:SHOWN_FAULTS]
        ]
        (field, problem), *others = faults
        return cls(field, "; ".join([problem, *(f"{name}: {what}" for name, what in others)]))


def _told(body: str) -> tuple[str, dict[str, list[str]]]:
    """The text and, by field, the texts that a refusal has."""
    try:
        said = from_json(body)
    except ValueError:
        return body, {}
    if isinstance(said, dict) and isinstance(detail := said.get("detail"), str):
        return detail, {}
    reasons: dict[str, list[str]] = {}
    for field, text in _texts(said, ""):
        reasons.setdefault(field, []).append(text)
    if list(reasons) in ([], [""]):
        return "; ".join(reasons.get("", [body])), {}
    return "; ".join(f"{field}: {', '.join(told)}" for field, told in reasons.items()), reasons


def _texts(said: object, field: str) -> Iterator[tuple[str, str]]:
    if isinstance(said, str):
        yield field, said
    if isinstance(said, dict):
        for name, inner in said.items():
            yield from _texts(inner, f"{field}.{name}" if field else name)
    if isinstance(said, list):
        for place, inner in enumerate(said):
            where = field if isinstance(inner, str) else f"{field}.{place}".lstrip(".")
            yield from _texts(inner, where)


def _field(location: tuple[int | str, ...], inside: str, names: dict[str, str]) -> str:
    parts = [names.get(str(part), str(part)) for part in location]
    return ".".join(part for part in [inside, *parts] if part) or "value"

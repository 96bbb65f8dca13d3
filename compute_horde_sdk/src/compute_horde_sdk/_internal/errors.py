"""Everything that the SDK raises.

    ComputeHordeError
    ├── ComputeHordeAPIError          the facilitator refused; has its status code and body
    │   ├── ComputeHordeCancelError
    │   └── ComputeHordeNotFoundError
    ├── ComputeHordeJobTimeoutError   also a TimeoutError
    └── ComputeHordeValidationError   also a ValueError; nothing was sent

A job that ended badly is no error: look at its ``status`` and ``error``.
"""

from pydantic import ValidationError

SHOWN_BODY_CHARACTERS = 2000
SHOWN_FAULTS = 5


class ComputeHordeError(Exception):
    """Anything that goes wrong in the SDK. ``__cause__`` has the underlying error, if any."""


class ComputeHordeAPIError(ComputeHordeError):
    """The facilitator answered with an error.

    ``status_code`` is the HTTP status, ``body`` the whole text of the answer.
    """

    def __init__(self, message: str = "", *, status_code: int = 0, body: str = "") -> None:
        super().__init__(message)
        self.status_code = status_code
        self.body = body

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


class ComputeHordeJobTimeoutError(ComputeHordeError, TimeoutError):
    """A job did not get there in time. It goes on running; ``job_uuid`` names it, where known."""

    def __init__(self, message: str = "", *, job_uuid: str | None = None) -> None:
        super().__init__(message)
        self.job_uuid = job_uuid


class ComputeHordeValidationError(ComputeHordeError, ValueError):
    """Something that cannot work was asked for; it was not sent. ``field`` names what to change."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field

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


def _field(location: tuple[int | str, ...], inside: str, names: dict[str, str]) -> str:
    parts = [names.get(str(part), str(part)) for part in location]
    return ".".join(part for part in [inside, *parts] if part) or "value"

"""What the SDK raises, and nothing else.

::

ComputeHordeError
├── ComputeHordeAPIError            the facilitator refused; has status code and body
│   └── ComputeHordeNotFoundError   there is no such thing, or it is somebody else's
├── ComputeHordeConnectionError     the facilitator could not be reached
├── ComputeHordeResponseError       the facilitator's answer cannot be read
├── ComputeHordeValidationError     the request is wrong; nothing was sent (also a ValueError)
└── ComputeHordeJobTimeoutError     a job did not end in time (also a TimeoutError)
"""


class ComputeHordeError(Exception):
    """Base of everything that the SDK raises."""


class ComputeHordeAPIError(ComputeHordeError):
    """The facilitator refused a request. ``body`` is the text of its answer, with its reasons."""

    def __init__(self, status_code: int, body: str) -> None:
        super().__init__(f"ComputeHorde responded with status code {status_code}: {body[:2000]}")
        self.status_code = status_code
        self.body = body


class ComputeHordeNotFoundError(ComputeHordeAPIError):
    """There is no such job, or it is another hotkey's."""


class ComputeHordeConnectionError(ComputeHordeError):
    """The facilitator could not be reached, after several tries."""


class ComputeHordeResponseError(ComputeHordeError):
    """The facilitator's answer cannot be read; is the URL that of a facilitator?"""


class ComputeHordeValidationError(ComputeHordeError, ValueError):
    """A job cannot be sent as it is. ``field`` names what to mend; nothing was sent."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field = field


class ComputeHordeJobTimeoutError(ComputeHordeError, TimeoutError):
    """A job did not end, or did not stream, in the time given. It goes on running."""

"""What is worth a second try when talking to a web server, and how often."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx
import stamina

from compute_horde_common.transfer.errors import DownloadFailed, UploadFailed

ATTEMPTS = 3
FIRST_WAIT_SECONDS = 1.0
RETRYABLE_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})

Result = TypeVar("Result")


class PassingTroubleError(Exception):
    """Something that may go better at the next try; ``outcome`` is raised if there is none."""

    def __init__(self, outcome: DownloadFailed | UploadFailed) -> None:
        super().__init__(str(outcome))
        self.outcome = outcome


async def with_retries(attempt: Callable[[], Awaitable[Result]]) -> Result:
    """Awaits ``attempt`` up to three times, 1 s and 2 s apart, while it raises passing trouble."""
    try:
        async for one in stamina.retry_context(
            on=PassingTroubleError,
            attempts=ATTEMPTS,
            timeout=None,
            wait_initial=FIRST_WAIT_SECONDS,
            wait_jitter=0,
        ):
            with one:
                return await attempt()
    except PassingTroubleError as trouble:
        raise trouble.outcome from None
    raise AssertionError("stamina ends with a result or an error")


def connection_trouble(failure: httpx.HTTPError) -> str:
    """What went wrong on the way, in words that hold nothing of the request or the answer."""
    match failure:
        case httpx.ConnectTimeout():
            return "no connection in time"
        case httpx.TimeoutException():
            return "the server was silent for too long"
        case httpx.ConnectError():
            return f"no connection ({_first_line(failure)})"
        case httpx.RemoteProtocolError():
            return "the server broke off or does not speak HTTP"
        case _:
            return f"the connection failed ({type(failure).__name__})"


def _first_line(failure: Exception) -> str:
    return (str(failure).splitlines() or [""])[0][:150]

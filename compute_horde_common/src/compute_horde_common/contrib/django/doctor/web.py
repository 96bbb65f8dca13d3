"""One question to a web server, with an answer of a kilobyte or so."""

from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import httpcore

SECONDS = 5.0
_MOST_BYTES = 1 << 16
_TIMEOUT = dict.fromkeys(("connect", "read", "write", "pool"), SECONDS)
_ERRORS = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError)


class NoAnswer(Exception):
    """No web server answers there."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a web server said; header names are in lower case."""

    headers: dict[str, str]
    body: bytes


async def ask(url: str) -> Answer:
    """Answers GET; redirects are not followed.

    Raises:
        NoAnswer: see there.
    """
    try:
        async with (
            httpcore.AsyncConnectionPool() as http,
            http.stream("GET", url, extensions={"timeout": _TIMEOUT}) as response,
        ):
            return Answer(_headers(response), await _beginning(response))
    except _ERRORS as error:
        raise NoAnswer(str(error) or type(error).__name__) from error


def _headers(response: httpcore.Response) -> dict[str, str]:
    return {
        name.decode(errors="replace").lower(): value.decode(errors="replace")
        for name, value in response.headers
    }


async def _beginning(response: httpcore.Response) -> bytes:
    body = b""
    async for piece in response.aiter_stream():
        body += piece
        if len(body) > _MOST_BYTES:
            break
    return body


def web_address(websocket: str, path: str) -> str:
    """The URL of a page on a websocket's server: ws becomes http, wss becomes https."""
    parts = urlsplit(websocket)
    scheme = "https" if parts.scheme == "wss" else "http"
    return urlunsplit((scheme, parts.netloc, path, "", ""))

"""HTTP to a Docker daemon: one call, or one streamed answer.

Spoken with httpcore instead of through the docker package: that one costs a process a fifth of a
second of CPU to import, and its blocking calls cannot be cancelled while a container runs. Paths
carry no API version, so the daemon speaks its newest one; we use only what all of them know.
"""

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit

import httpcore
from pydantic import JsonValue

from compute_horde_common.containers.interface import EngineError, EngineUnavailable

_CONNECT_SECONDS = 5.0
_CALL_SECONDS = 120.0
_ERROR_BYTES = 64 * 1024

Query = Mapping[str, str] | Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Reply:
    """A daemon's answer to one call."""

    status: int
    body: bytes

    @property
    def failed(self) -> bool:
        """Whether the daemon says it did not do it."""
        return self.status >= 400  # noqa: PLR2004 - HTTP's border between success and failure

    @property
    def json(self) -> JsonValue:
        """The body parsed; raises ``EngineError`` if it is no JSON."""
        return parsed(self.body)

    @property
    def message(self) -> str:
        """What the daemon says went wrong."""
        try:
            said = self.json
        except EngineError:
            said = None
        if isinstance(said, dict) and isinstance(said.get("message"), str):
            return str(said["message"])
        return self.body[:500].decode(errors="replace").strip() or f"HTTP status {self.status}"


class DaemonApi:
    """A pool of connections to one daemon. Belongs to one event loop; ``close`` it."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        if parts.scheme == "unix" and parts.path:
            self._base = "http://docker"
            self._pool = httpcore.AsyncConnectionPool(uds=parts.path, max_connections=None)
        elif parts.scheme in {"tcp", "http"} and parts.netloc:
            self._base = f"http://{parts.netloc}"
            self._pool = httpcore.AsyncConnectionPool(max_connections=None)
        else:
            raise EngineUnavailable(
                f"The Docker address {address!r} is neither unix:///path nor tcp://host:port."
            )

    async def close(self) -> None:
        """Drops all connections."""
        await self._pool.aclose()

    async def call(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        *,
        body: JsonValue = None,
        content: bytes | None = None,
        seconds: float | None = _CALL_SECONDS,
    ) -> Reply:
        """One request, its whole answer. ``seconds`` limits each silence; None waits for ever."""
        headers = []
        if body is not None:
            content = json.dumps(body).encode()
            headers = [("Content-Type", "application/json")]
        if content is not None and body is None:
            headers = [("Content-Type", "application/x-tar")]
        with _unavailable():
            response = await self._pool.request(
                method,
                self._url(path, query),
                headers=headers,
                content=content,
                extensions=_timeouts(seconds),
            )
        return Reply(response.status, response.content)

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> AsyncIterator[Reply | AsyncIterator[bytes]]:
        """One request; a ``Reply`` if it failed, else the pieces of its answer as they come."""
        with _unavailable():
            async with self._pool.stream(
                method,
                self._url(path, query),
                headers=headers,
                extensions=_timeouts(None),
            ) as response:
                pieces = response.aiter_stream()
                if Reply(response.status, b"").failed:
                    yield Reply(response.status, await _beginning(pieces))
                else:
                    yield pieces

    def _url(self, path: str, query: Query | None) -> str:
        return f"{self._base}{quote(path, safe='/:@')}" + (f"?{urlencode(query)}" if query else "")


def parsed(text: bytes) -> JsonValue:
    """JSON from the daemon; raises ``EngineError`` for anything else."""
    try:
        value: JsonValue = json.loads(text)
    except ValueError:
        raise EngineError("The Docker daemon answered something that is no JSON.") from None
    return value


async def _beginning(pieces: AsyncIterator[bytes]) -> bytes:
    start = bytearray()
    async for piece in pieces:
        start += piece
        if len(start) > _ERROR_BYTES:
            break
    return bytes(start[:_ERROR_BYTES])


def _timeouts(seconds: float | None) -> dict[str, dict[str, float | None]]:
    return {
        "timeout": {
            "connect": _CONNECT_SECONDS,
            "pool": _CONNECT_SECONDS,
            "read": seconds,
            "write": seconds,
        }
    }


@contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as failure:
        kind = type(failure).__name__
        raise EngineUnavailable(
            f"No answer from the Docker daemon ({kind}): {failure}"
        ) from failure

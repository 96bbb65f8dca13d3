"""A pipe to a server that we dial. Proxies, compression and redirects are off: the peer we mean
is the peer we get."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from typing_extensions import override
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidStatus,
    InvalidURI,
    WebSocketException,
)
from websockets.typing import Subprotocol

from compute_horde_common.links.link import NORMAL, LinkClosed, LinkError, Pipe

SEND_LIMIT_SECONDS = 60.0
CLOSE_LIMIT_SECONDS = 5.0
PING_INTERVAL_SECONDS = 20.0
PING_LIMIT_SECONDS = 120.0
ABNORMAL = 1006
_MAX_REASON_BYTES = 120


class DialFailed(LinkError):
    """No conversation came about; ``status`` is the HTTP status where the server answered."""

    def __init__(self, url: str, reason: str, status: int | None = None) -> None:
        super().__init__(f"cannot connect to {url}: {reason}")
        self.url = url
        self.reason = reason
        self.status = status


class WebsocketPipe(Pipe):
    """The dialling side of a websocket. `dial` makes it."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    @property
    def subprotocol(self) -> str | None:
        """Which of the offered subprotocols the server chose."""
        return self._connection.subprotocol

    @property
    def response_headers(self) -> Mapping[str, str]:
        """What the server said in its handshake; names in lower case."""
        response = self._connection.response
        raw = response.headers.raw_items() if response is not None else ()
        return {name.lower(): value for name, value in raw}

    @override
    async def send_text(self, text: str) -> None:
        try:
            async with asyncio.timeout(SEND_LIMIT_SECONDS):
                await self._connection.send(text)
        except ConnectionClosed as error:
            raise _closed(error) from error
        except OSError as error:
            self._connection.transport.abort()
            raise LinkClosed(ABNORMAL, f"send failed: {error or 'time limit'}") from error

    @override
    async def receive_text(self) -> str:
        try:
            frame = await self._connection.recv()
        except ConnectionClosed as error:
            raise _closed(error) from error
        if isinstance(frame, str):
            return frame
        await self.close(1003, "binary frames are not understood")
        raise LinkClosed(1003, "binary frame")

    @override
    async def close(self, code: int = NORMAL, reason: str = "") -> None:
        await self._connection.close(code, _fitting(reason))


@asynccontextmanager
async def dial(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    subprotocols: Sequence[str] = (),
    max_frame: int,
    open_timeout: float,
    ping_interval: float = PING_INTERVAL_SECONDS,
    ping_timeout: float = PING_LIMIT_SECONDS,
) -> AsyncIterator[WebsocketPipe]:
    """A pipe to the websocket server at ``url``, closed at the end of the block.

    Args:
        url: ``ws://`` or ``wss://``.
        headers: added to the handshake.
        subprotocols: offered to the server, the preferred one first.
        max_frame: longer incoming messages (bytes) close the pipe with 1009.
        open_timeout: seconds for connection and handshake together.
        ping_interval: seconds between the pings that tell a dead peer from a silent one.
        ping_timeout: seconds without an answer to a ping after which the peer is dead.

    Raises:
        DialFailed: there is no websocket server at ``url``, or it does not want us.
    """
    try:
        connection = await _connect_directly(
            url,
            additional_headers=dict(headers or {}),
            subprotocols=[Subprotocol(name) for name in subprotocols] or None,
            compression=None,
            proxy=None,
            max_size=max_frame,
            open_timeout=open_timeout,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=CLOSE_LIMIT_SECONDS,
        )
    except InvalidStatus as error:
        status = error.response.status_code
        raise DialFailed(url, f"the server answered {status}", status) from error
    except (InvalidURI, InvalidHandshake, WebSocketException, ValueError) as error:
        raise DialFailed(url, str(error)) from error
    except TimeoutError as error:
        raise DialFailed(url, f"no answer within {open_timeout:g} s") from error
    except (OSError, EOFError) as error:
        raise DialFailed(url, str(error) or type(error).__name__) from error
    try:
        yield WebsocketPipe(connection)
    finally:
        await connection.close()


class _connect_directly(connect):  # noqa: N801 - named like what it is
    @override
    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


def _closed(error: ConnectionClosed) -> LinkClosed:
    frame = error.rcvd or error.sent
    if frame is None:
        return LinkClosed(ABNORMAL, "connection lost")
    return LinkClosed(frame.code, frame.reason)


def _fitting(reason: str) -> str:
    return reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore")

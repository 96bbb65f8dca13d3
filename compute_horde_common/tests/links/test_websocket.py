"""`dial` against real servers on loopback."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from compute_horde_common.links.link import LinkClosed
from compute_horde_common.links.websocket import DialFailed, dial

Handler = Callable[[ServerConnection], Awaitable[None]]
FRAME = 1000
SOON = 2.0


@asynccontextmanager
async def server(handler: Handler, status: HTTPStatus | None = None) -> AsyncIterator[str]:
    def refuse(_connection: ServerConnection, _request: Request) -> Response | None:
        headers = Headers(Location="ws://127.0.0.1:1/", Connection="close")
        return Response(status, "", headers) if status is not None else None

    async with serve(handler, "127.0.0.1", 0, process_request=refuse) as running:
        yield f"ws://127.0.0.1:{running.sockets[0].getsockname()[1]}/path"


async def echo(connection: ServerConnection) -> None:
    async for frame in connection:
        await connection.send(frame)


async def test_frames_come_and_go() -> None:
    async with server(echo) as url, dial(url, max_frame=FRAME, open_timeout=SOON) as pipe:
        await pipe.send_text("grüße")

        assert await pipe.receive_text() == "grüße"


async def test_the_close_code_of_the_server_is_told() -> None:
    async def goodbye(connection: ServerConnection) -> None:
        await connection.close(4003, "not you")

    async with server(goodbye) as url, dial(url, max_frame=FRAME, open_timeout=SOON) as pipe:
        with pytest.raises(LinkClosed) as caught:
            await pipe.receive_text()

    assert (caught.value.code, caught.value.reason) == (4003, "not you")


async def test_a_lost_connection_is_a_closed_link() -> None:
    async def vanish(connection: ServerConnection) -> None:
        connection.transport.abort()
        await connection.wait_closed()

    async with server(vanish) as url, dial(url, max_frame=FRAME, open_timeout=SOON) as pipe:
        with pytest.raises(LinkClosed) as caught:
            await pipe.receive_text()

    assert caught.value.code == 1006


async def test_a_frame_over_the_limit_closes_the_link() -> None:
    async def flood(connection: ServerConnection) -> None:
        await connection.send("x" * (FRAME + 1))
        await connection.wait_closed()

    async with server(flood) as url, dial(url, max_frame=FRAME, open_timeout=SOON) as pipe:
        with pytest.raises(LinkClosed) as caught:
            await pipe.receive_text()

    assert caught.value.code == 1009


async def test_a_binary_frame_closes_the_link() -> None:
    async def babble(connection: ServerConnection) -> None:
        await connection.send(b"\x00")
        await connection.wait_closed()

    async with server(babble) as url, dial(url, max_frame=FRAME, open_timeout=SOON) as pipe:
        with pytest.raises(LinkClosed):
            await pipe.receive_text()


@pytest.mark.parametrize("status", [HTTPStatus.FORBIDDEN, HTTPStatus.FOUND])
async def test_a_refusal_is_told_with_its_status_and_redirects_are_refusals(
    status: HTTPStatus,
) -> None:
    async with server(echo, status) as url:
        with pytest.raises(DialFailed) as caught:
            async with dial(url, max_frame=FRAME, open_timeout=SOON):
                pass

    assert (caught.value.url, caught.value.status) == (url, status)


@pytest.mark.parametrize("url", ["http://x/", "ws://", "ws://127.0.0.1:1/", "nonsense"])
async def test_an_address_without_a_server_is_a_failed_dial(url: str) -> None:
    with pytest.raises(DialFailed):
        async with dial(url, max_frame=FRAME, open_timeout=SOON):
            pass


async def test_a_server_that_never_answers_is_a_failed_dial() -> None:
    accepted: list[asyncio.StreamWriter] = []
    mute = await asyncio.start_server(lambda _, writer: accepted.append(writer), "127.0.0.1", 0)
    port = mute.sockets[0].getsockname()[1]

    with pytest.raises(DialFailed):
        async with dial(f"ws://127.0.0.1:{port}", max_frame=FRAME, open_timeout=0.1):
            pass

    for writer in accepted:
        writer.close()
    mute.close()

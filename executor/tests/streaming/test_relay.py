"""The relay alone, between real sockets on loopback."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from executor.streaming.certificates import (
    new_identity,
    pinned_der,
    server_context,
)
from executor.streaming.relay import HANDSHAKE_SECONDS, Connect, Relay

SOON = 10
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Door:
    """A relay, what is behind it, and the client that it is for."""

    def __init__(self, folder: Path) -> None:
        self.server = new_identity(None, datetime.now(UTC))
        self.client = new_identity(None, datetime.now(UTC))
        self._folder = folder
        self._port = 0

    @asynccontextmanager
    async def opened(
        self, connect: Connect, handshake_seconds: float = HANDSHAKE_SECONDS
    ) -> AsyncIterator["Door"]:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        self._port = listener.getsockname()[1]
        der = pinned_der(self.client.certificate)
        context = server_context(self.server, der)
        relay = Relay(listener, context, der, connect, handshake_seconds=handshake_seconds)
        serving = asyncio.create_task(relay.serve())
        try:
            yield self
        finally:
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving
            listener.close()

    async def enter(self) -> Streams:
        pair = self._folder / "pair.pem"
        pair.write_bytes(self.client.key + self.client.certificate.encode())
        context = ssl.create_default_context(cadata=self.server.certificate)
        context.load_cert_chain(pair)
        return await asyncio.open_connection(
            "127.0.0.1", self._port, ssl=context, server_hostname="localhost"
        )

    async def knock(self) -> Streams:
        return await asyncio.open_connection("127.0.0.1", self._port)


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


@asynccontextmanager
async def job(talk: Talk) -> AsyncIterator[Connect]:
    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        address = server.sockets[0].getsockname()

        async def connect() -> socket.socket:
            made = socket.socket()
            made.setblocking(False)
            await asyncio.get_running_loop().sock_connect(made, address)
            return made

        yield connect


async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"hello")
    await writer.drain()
    writer.close()


async def test_what_the_job_says_before_it_leaves_arrives(door: Door) -> None:
    async with job(greet) as connect, door.opened(connect):
        reader, writer = await door.enter()
        async with asyncio.timeout(SOON):
            answer = await reader.read()
        writer.close()

    assert answer == b"hello"


async def test_a_client_that_leaves_in_the_middle_ends_the_jobs_connection(door: Door) -> None:
    ended = asyncio.Event()

    async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while True:
                writer.write(bytes(1 << 16))
                await writer.drain()
        ended.set()

    async with job(pour) as connect, door.opened(connect):
        reader, writer = await door.enter()
        await reader.readexactly(1 << 20)
        writer.transport.abort()
        async with asyncio.timeout(SOON):
            await ended.wait()


async def test_a_client_that_reads_slowly_makes_the_job_wait(door: Door) -> None:
    sent: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pieces = 0
        with suppress(TimeoutError):
            while True:
                writer.write(bytes(1 << 20))
                async with asyncio.timeout(1):
                    await writer.drain()
                pieces += 1
        sent.set_result(pieces)
        writer.transport.abort()

    async with job(pour) as connect, door.opened(connect):
        _, writer = await door.enter()
        async with asyncio.timeout(SOON):
            taken = await sent
        writer.transport.abort()

    assert taken < 64


async def test_a_job_that_does_not_answer_the_door_ends_the_connection(door: Door) -> None:
    async def nobody() -> socket.socket:
        raise ConnectionRefusedError

    async with door.opened(nobody):
        reader, writer = await door.enter()
        async with asyncio.timeout(SOON):
            answer = await reader.read()
        writer.close()

    assert answer == b""


async def test_a_handshake_has_its_limit(door: Door) -> None:
    async with job(greet) as connect, door.opened(connect, handshake_seconds=0.2):
        reader, writer = await door.knock()
        async with asyncio.timeout(SOON):
            answer = await reader.read()
        writer.close()

    assert answer == b""


@pytest.mark.parametrize("host", ["::1", "10.0.0.7", "host.example", "localhost", None])
def test_a_server_is_named_by_address_or_name(host: str | None) -> None:
    assert new_identity(host, datetime.now(UTC)).certificate.startswith("-----BEGIN")


def test_a_name_that_no_certificate_can_have_is_refused() -> None:
    with pytest.raises(ValueError, match="A-label"):
        new_identity("bücher.example", datetime.now(UTC))


async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    await greet(reader, writer)


async def test_a_job_that_leaves_while_the_client_sends_ends_the_connection(door: Door) -> None:
    async with job(hasty) as connect, door.opened(connect):
        before = _held()
        for _ in range(3):
            reader, writer = await door.enter()
            with suppress(ConnectionError):
                async with asyncio.timeout(SOON):
                    while not reader.at_eof():
                        writer.write(bytes(1 << 16))
                        await writer.drain()
                        await asyncio.sleep(0)
            writer.transport.abort()

        await _until_held(before)


async def test_clients_that_leave_while_the_job_sends_leave_nothing_behind(door: Door) -> None:
    async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while True:
                writer.write(bytes(1 << 16))
                await writer.drain()

    async with job(pour) as connect, door.opened(connect):
        before = _held()
        for _ in range(3):
            reader, writer = await door.enter()
            await reader.readexactly(1 << 20)
            writer.close()

        await _until_held(before)


def _held() -> tuple[int, int]:
    """Open files and tasks of this process."""
    return psutil.Process().num_fds(), len(asyncio.all_tasks())


async def _until_held(number: tuple[int, int]) -> None:
    async with asyncio.timeout(SOON):
        while _held() != number:  # noqa: ASYNC110 - nobody tells when the kernel is done
            await asyncio.sleep(0)

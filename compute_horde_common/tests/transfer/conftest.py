"""A web server on loopback that says, byte for byte, what a test tells it to."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import stamina

from compute_horde_common.transfer.tree import Folder


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """``silent`` keeps the connection open after the bytes, for ever."""

    raw: bytes
    silent: bool = False


@dataclass
class Web:
    """Gives its answers in order, the last one for ever after."""

    port: int = 0
    answers: list[Answer] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def will_say(
        self, status: int, body: bytes = b"", *, claim: int | None = None, **headers: str
    ) -> None:
        """Queues an answer. ``claim`` is a Content-Length that may lie."""
        length = len(body) if claim is None else claim
        lines = [f"HTTP/1.1 {status} x", f"Content-Length: {length}", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.answers.append(Answer("\r\n".join([*lines, "", ""]).encode() + body))

    def will_hang(self) -> None:
        self.answers.append(Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", silent=True))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.requests.append(await read_request(reader))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            writer.write(answer.raw)
            await writer.drain()
            if answer.silent:
                await reader.read()
        finally:
            writer.close()


async def read_request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = {}
    for line in head[1:-2]:
        name, _, value = line.partition(": ")
        headers[name.lower()] = value
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, target, headers, body)


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    web = Web()
    async with await asyncio.start_server(web.serve, "127.0.0.1", 0) as server:
        web.port = server.sockets[0].getsockname()[1]
        yield web


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder.create(tmp_path / "job")


@pytest.fixture(autouse=True)
def _no_waits_between_tries() -> Iterator[None]:
    with stamina.set_testing(testing=True, attempts=3, cap=True):
        yield

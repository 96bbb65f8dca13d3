"""A web server on loopback that says, byte for byte, what a test tells it to."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus


@dataclass(frozen=True)
class Request:
    target: str
    headers: dict[str, str]
    reader: asyncio.StreamReader


Handler = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Site:
    """Handlers by path; a path without one is answered 404. Keeps what it was asked."""

    port: int = 0
    pages: dict[str, Handler] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    @property
    def asked(self) -> list[str]:
        return [request.target for request in self.requests]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await _read(reader)
            self.requests.append(request)
            page = self.pages.get(request.target.partition("?")[0], answer(404))
            await page(request, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in head[1:-2])
    return Request(
        head[0].split(" ")[1], {name.lower(): text for name, text in headers.items()}, reader
    )


def raw(data: bytes) -> Handler:
    """Says this and hangs up."""

    async def say(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(data)

    return say


def answer(
    status: int = 200, body: bytes = b"", *, claim: int | None = None, **headers: str
) -> Handler:
    """One whole answer. ``claim`` is a Content-Length that may lie."""
    return raw(_answer(status, body, claim=claim, **headers))


def _answer(status: int, body: bytes, *, claim: int | None = None, **headers: str) -> bytes:
    length = len(body) if claim is None else claim
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Content-Length: {length}"]
    lines += [f"{name.replace('_', '-')}: {text}" for name, text in headers.items()]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + body


def versioned(body: bytes, etag: str, **headers: str) -> Handler:
    """A file with an ETag, which is not sent to those who have it."""

    async def say(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.headers.get("if-none-match") == etag:
            writer.write(_answer(304, b"", ETag=etag))
        else:
            writer.write(_answer(200, body, ETag=etag, **headers))

    return say


def private(page: Handler, authorization: str, refusal: Handler) -> Handler:
    """The page for those who say ``authorization``, for others the refusal."""

    async def say(request: Request, writer: asyncio.StreamWriter) -> None:
        known = request.headers.get("authorization") == authorization
        await (page if known else refusal)(request, writer)

    return say


def in_turn(handlers: Iterable[Handler]) -> Handler:
    """One after another, the last one for ever after."""
    waiting = list(handlers)

    async def say(request: Request, writer: asyncio.StreamWriter) -> None:
        page = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        await page(request, writer)

    return say


def endless(head: bytes, again: bytes) -> Handler:
    """Says ``again`` as often as somebody listens."""

    async def say(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while not writer.is_closing():
            writer.write(again)
            await writer.drain()

    return say


def dripping(head: bytes, drop: bytes = b"x", every: float = 0.02) -> Handler:
    """Never silent for long, and never done."""

    async def say(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while not writer.is_closing():
            writer.write(drop)
            await writer.drain()
            await asyncio.sleep(every)

    return say


def silent(head: bytes = b"") -> Handler:
    """Says no more than this until the other side hangs up."""

    async def say(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        await request.reader.read()

    return say

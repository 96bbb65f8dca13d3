"""A web server on loopback that serves files, takes uploads, and can be made to hang."""

import asyncio
from types import TracebackType
from typing import Self


class WebServer:
    """``files`` are served by path; what is PUT or POSTed lands in ``received``.

    A GET or PUT of a path that starts with ``/slow`` is never answered.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._host = host
        self.files: dict[str, bytes] = {}
        self.received: dict[str, bytes] = {}
        self.url = ""
        self._server: asyncio.Server | None = None
        self._closing = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._host, 0)
        host, port = self._server.sockets[0].getsockname()[:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        method, path, _ = head.split("\r\n", 1)[0].split(" ", 2)
        if path.startswith("/slow"):
            await self._closing.wait()
            return
        headers = dict(
            line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line
        )
        if method in {"PUT", "POST"}:
            self.received[path] = await reader.readexactly(int(headers["content-length"]))
            writer.write(b'HTTP/1.1 200 OK\r\nETag: "tag"\r\nContent-Length: 0\r\n\r\n')
        elif path in self.files:
            body = self.files[path]
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        else:
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

"""A web server that takes uploads, and answers as its path says."""

import asyncio
import io
import zipfile

_NEVER_ENDING = b"x" * 65536


class Server:
    """``/redirect`` leads to ``/inside``; what is not named below is taken."""

    def __init__(self) -> None:
        self.port = 0
        self.received: dict[str, bytes] = {}

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def names_in(self, path: str) -> list[str]:
        """The names in a zip that was received."""
        with zipfile.ZipFile(io.BytesIO(self.received[path])) as archive:
            return archive.namelist()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            path = head.split(" ", 2)[1]
            _, _, size = head.partition("content-length: ")
            body = await reader.readexactly(int(size.split()[0])) if size else b""
            await self._answer(path, body, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(
        self, path: str, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        match path.split("/")[1:]:
            case ["silent"]:
                await reader.read()
            case ["status", status]:
                writer.write(f"HTTP/1.1 {status} no\r\nContent-Length: 0\r\n\r\n".encode())
            case ["redirect"]:
                writer.write(b"HTTP/1.1 302 go\r\nLocation: /inside\r\nContent-Length: 0\r\n\r\n")
            case ["nonsense"]:
                writer.write(b"\0\1\2\r\n\r\n")
            case ["headers"]:
                writer.write(b"HTTP/1.1 200 ok\r\n")
                await _pour(writer, b"X-More: " + b"y" * 4096 + b"\r\n")
            case ["endless"]:
                writer.write(b"HTTP/1.1 200 ok\r\nTransfer-Encoding: chunked\r\n\r\n")
                await _pour(writer, b"10000\r\n" + _NEVER_ENDING + b"\r\n")
            case _:
                self.received[path] = body
                writer.write(b"HTTP/1.1 200 ok\r\nContent-Length: 0\r\nETag: tag\r\n\r\n")
        await writer.drain()


async def _pour(writer: asyncio.StreamWriter, data: bytes) -> None:
    while True:
        writer.write(data)
        await writer.drain()

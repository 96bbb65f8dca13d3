"""A server of one folder's files, in a process of its own: GET by path, PUT is read and dropped."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PIECE = 1 << 20


@contextmanager
def file_server(folder: Path) -> Iterator[str]:
    """The URL of a server that runs for as long as the block does."""
    command = [sys.executable, "-m", "bench.file_server", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None:
            raise AssertionError("the pipe was asked for")
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.terminate()


class _Files:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        verb, path, _ = head.split(" ", 2)
        fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
        if fields.get("expect") == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if verb == "GET":
            await self._give(self._folder / path[1:], fields.get("if-none-match"), writer)
        else:
            await _drop(reader, int(fields["content-length"]))
            writer.write(_head(200, 0, '"dropped"'))
        await writer.drain()
        writer.close()

    async def _give(self, path: Path, known: str | None, writer: asyncio.StreamWriter) -> None:
        with path.open("rb") as file:
            etag = f'"{path.name}"'
            if known == etag:
                writer.write(_head(304, 0, etag))
                return
            writer.write(_head(200, path.stat().st_size, etag))  # noqa: ASYNC240 - one stat
            await asyncio.get_running_loop().sendfile(writer.transport, file)


def _head(status: int, size: int, etag: str) -> bytes:
    lines = (f"HTTP/1.1 {status} x", f"ETag: {etag}", f"Content-Length: {size}")
    return "\r\n".join((*lines, "Connection: close", "\r\n")).encode()


async def _drop(reader: asyncio.StreamReader, size: int) -> None:
    while size > 0:
        size -= len(await reader.read(_PIECE))


async def _serve(folder: Path) -> None:
    server = await asyncio.start_server(_Files(folder).answer, "127.0.0.1", 0, limit=_PIECE)
    async with server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))

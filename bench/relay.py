"""A streaming job's door: curl through TLS with both certificates, and curl without any of it."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from bench.file_server import file_server
from bench.throughput import MEBIBYTES, compared, program
from executor.streaming.certificates import new_identity, pinned_der, server_context
from executor.streaming.relay import Relay


async def relay_figures(data: Path) -> dict[str, float]:
    """MB/s of a large body to the client and from it."""
    served = data / "relayed"
    served.mkdir()
    file = served / "file"
    file.write_bytes(os.urandom(MEBIBYTES << 20))
    sink = os.devnull
    with file_server(served) as url:
        async with _door(url, data) as (through, *identity):
            get = program("curl", "-sSf", *identity, "-o", sink, f"{through}/file")
            put = program("curl", "-sSf", *identity, "-T", str(file), f"{through}/put")
            plain_get = program("curl", "-sSf", "-o", sink, f"{url}/file")
            plain_put = program("curl", "-sSf", "-T", str(file), f"{url}/put")
            return {
                **await compared("relay to client", get, "curl", plain_get),
                **await compared("relay from client", put, "curl", plain_put),
            }


@asynccontextmanager
async def _door(url: str, data: Path) -> AsyncIterator[list[str]]:
    """The relay's URL, and what curl needs to be let in there."""
    address = urlsplit(url)
    client, server = (new_identity("localhost", datetime.now(UTC)) for _ in range(2))
    pinned = pinned_der(client.certificate)

    async def connect() -> socket.socket:
        job = socket.socket()
        job.setblocking(False)
        await asyncio.get_running_loop().sock_connect(job, (address.hostname, address.port))
        return job

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        relay = Relay(listener, server_context(server, pinned), pinned, connect)
        serving = asyncio.create_task(relay.serve())
        files = {"--cert": client.certificate, "--cacert": server.certificate}
        options = [word for name, text in files.items() for word in (name, _file(data, name, text))]
        options += ["--key", _file(data, "--key", client.key.decode())]
        try:
            yield [f"https://localhost:{listener.getsockname()[1]}", *options]
        finally:
            serving.cancel()
            await asyncio.wait({serving})


def _file(data: Path, name: str, text: str) -> str:
    path = data / f"{name[2:]}.pem"
    path.write_text(text)
    return str(path)

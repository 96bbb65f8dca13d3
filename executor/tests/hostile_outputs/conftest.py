import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.hostile_outputs.server import Server


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        server.port = listening.sockets[0].getsockname()[1]
        yield server

"""Events over real connections: none is wasted, and none stays open."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from bittensor_wallet import Keypair

from compute_horde_common.clock import SystemClock
from compute_horde_sdk.v1 import ComputeHordeClient
from tests.conftest import VALIDATOR
from tests.facilitator import FakeFacilitator

SOON = 10


class Server:
    """Serves a facilitator; counts its connections, and tells when one has ended."""

    def __init__(self, facilitator: FakeFacilitator) -> None:
        self._facilitator = facilitator
        self.connections = 0
        self.streaming = asyncio.Event()
        self.ended = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await self._answer(await self._request(head.decode(), reader), writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.ended.set()
        finally:
            writer.close()

    async def _request(self, head: str, reader: asyncio.StreamReader) -> httpx.Request:
        method, path, _ = head.split(" ", 2)
        lines = (line.partition(": ")[::2] for line in head.splitlines()[1:] if line)
        headers = dict(lines)
        body = await reader.readexactly(int(headers.get("Content-Length", "0")))
        return httpx.Request(method, f"http://facilitator{path}", headers=headers, content=body)

    async def _answer(self, request: httpx.Request, writer: asyncio.StreamWriter) -> None:
        answer = self._facilitator.answer(request)
        kind = answer.headers.get("Content-Type", "application/json")
        writer.write(f"HTTP/1.1 {answer.status_code} X\r\nContent-Type: {kind}\r\n".encode())
        if "event-stream" not in kind:
            writer.write(f"Content-Length: {len(answer.content)}\r\n\r\n".encode())
            writer.write(answer.content)
            return
        writer.write(b"Transfer-Encoding: chunked\r\n\r\n")
        async for part in answer.aiter_raw():
            self.streaming.set()
            writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\n\r\n")


@pytest.fixture
def facilitator() -> FakeFacilitator:
    return FakeFacilitator(SystemClock())


@pytest.fixture
def server(facilitator: FakeFacilitator) -> Server:
    return Server(facilitator)


@pytest.fixture
async def client(server: Server, keypair: Keypair) -> AsyncIterator[ComputeHordeClient]:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    async with (
        listening,
        ComputeHordeClient(
            keypair, VALIDATOR, facilitator_url=f"http://127.0.0.1:{port}"
        ) as opened,
    ):
        yield opened


async def test_a_job_that_is_waited_for_takes_one_connection(
    client: ComputeHordeClient, facilitator: FakeFacilitator, server: Server
) -> None:
    for _ in range(2):
        job = await client.get_job(facilitator.add_job("sent", "received", "completed").uuid)
        await job.wait(timeout=SOON)

    assert server.connections == 1
    assert [call.split("/")[-2] for call in facilitator.calls].count("events") == 2


async def test_a_wait_that_is_cancelled_ends_its_connection(
    client: ComputeHordeClient, facilitator: FakeFacilitator, server: Server
) -> None:
    job = await client.get_job(facilitator.add_job().uuid)
    waiting = asyncio.ensure_future(job.wait())
    await asyncio.wait_for(server.streaming.wait(), SOON)

    waiting.cancel()
    await asyncio.wait([waiting])
    await asyncio.wait_for(server.ended.wait(), SOON)

    assert len(await client.get_jobs()) == 1

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator

import pytest
from websockets.asyncio.server import ServerConnection, serve


@pytest.fixture
async def nursery() -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "executor", "--nursery", stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    yield process
    await process.communicate(b"")
    assert process.returncode == 0


async def ask(nursery: Process, line: str) -> dict[str, object]:
    assert nursery.stdin is not None
    nursery.stdin.write(f"{line}\n".encode())
    return await heard(nursery)


async def heard(nursery: Process) -> dict[str, object]:
    assert nursery.stdout is not None
    event: dict[str, object] = json.loads(await nursery.stdout.readline())
    return event


async def test_an_executor_is_forked_dials_and_ends(nursery: Process) -> None:
    arrived: asyncio.Queue[ServerConnection] = asyncio.Queue()

    async def take(socket: ServerConnection) -> None:
        arrived.put_nowait(socket)
        await socket.wait_closed()

    async with serve(take, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        variables = {"MINER_ADDRESS": f"ws://127.0.0.1:{port}", "EXECUTOR_TOKEN": "one"}
        started = await ask(nursery, json.dumps(variables))
        socket = await arrived.get()
        await socket.close()
        ended = await heard(nursery)

    assert started["token"] == "one"
    assert ended == {**started, "status": 0}


async def test_a_wrong_environment_ends_one_executor_and_not_the_nursery(nursery: Process) -> None:
    started = await ask(nursery, "{}")

    assert await heard(nursery) == {"token": "", "pid": started["pid"], "status": 2}


async def test_rubbish_is_answered(nursery: Process) -> None:
    assert await ask(nursery, "[1]") == {"error": "expected a JSON object of strings"}


async def test_an_executor_killed_is_reported_with_its_signal(nursery: Process) -> None:
    variables = {"MINER_ADDRESS": "ws://127.0.0.1:9", "EXECUTOR_TOKEN": "two"}
    started = await ask(nursery, json.dumps(variables))

    os.kill(int(str(started["pid"])), 9)

    assert await heard(nursery) == {**started, "status": -9}

"""However a job ends, its container and its files are gone."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve

from compute_horde_common.containers.interface import NoSuchContainer
from compute_horde_common.protocol.base import encode
from compute_horde_common.protocol.validator_miner import ExecutorReady, VolumesReady
from executor.links.miner import MinerLost
from tests.stand import PATIENCE, Stand, offer, start

FOREVER = "echo begun; exec tail -f /dev/null"


async def until_running(stand: Stand) -> None:
    """Returns once the job's container has written."""
    while not await has_begun(stand):
        continue


async def has_begun(stand: Stand) -> bool:
    with suppress(NoSuchContainer):
        for container in await stand.engine.owned(stand.labels):
            async for output in stand.engine.follow(container.id):
                if b"begun" in output.data:
                    return True
    return False


async def begin(stand: Stand, script: str) -> None:
    await stand.miner.send(offer())
    await stand.miner.expect(ExecutorReady, within=PATIENCE)
    await stand.miner.send(start(script))
    await stand.miner.expect(VolumesReady, within=PATIENCE)


async def test_a_miner_that_goes_before_the_job_lets_the_executor_go(stand: Stand) -> None:
    await stand.miner.close()

    await stand.serve()

    assert await stand.left() == ([], [])


async def test_a_lost_socket_ends_the_job(stand: Stand) -> None:
    serving = asyncio.create_task(stand.serve())
    await begin(stand, FOREVER)

    await stand.miner.close()

    with pytest.raises(MinerLost):
        await serving
    assert await stand.left() == ([], [])


async def test_a_cancelled_job_is_cleared_away(stand: Stand) -> None:
    serving = asyncio.create_task(stand.serve())
    await begin(stand, FOREVER)
    await until_running(stand)

    serving.cancel()

    with pytest.raises(asyncio.CancelledError):
        await serving
    assert await stand.left() == ([], [])


class Sockets:
    """A miner's web server that hands the sockets of executors to the test."""

    def __init__(self) -> None:
        self.port = 0
        self.arrived: asyncio.Queue[ServerConnection] = asyncio.Queue()

    async def take(self, socket: ServerConnection) -> None:
        self.arrived.put_nowait(socket)
        await socket.wait_closed()


@pytest.fixture
async def sockets() -> AsyncIterator[Sockets]:
    sockets = Sockets()
    async with serve(sockets.take, "127.0.0.1", 0) as server:
        sockets.port = next(iter(server.sockets)).getsockname()[1]
        yield sockets


async def executor_process(stand: Stand, port: int, work_dir: Path) -> Process:
    environment = {
        **os.environ,
        "MINER_ADDRESS": f"ws://127.0.0.1:{port}",
        "EXECUTOR_TOKEN": stand.config.token,
        "EXECUTOR_OWNER": stand.config.owner,
        "EXECUTOR_WORK_DIR": str(work_dir),
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "executor", env=environment, stderr=PIPE
    )


async def test_a_terminated_process_leaves_nothing(stand: Stand, sockets: Sockets) -> None:
    process = await executor_process(stand, sockets.port, stand.config.work_dir)
    socket = await sockets.arrived.get()
    await socket.send(encode(offer()))
    await socket.recv()
    await socket.send(encode(start(FOREVER)))
    await socket.recv()
    await until_running(stand)

    process.send_signal(signal.SIGTERM)

    await process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert await stand.left() == ([], [])


async def test_the_process_dials_with_its_token(stand: Stand, sockets: Sockets) -> None:
    process = await executor_process(stand, sockets.port, stand.config.work_dir)
    socket = await sockets.arrived.get()

    await socket.close()

    await process.communicate()
    assert socket.request is not None
    assert socket.request.path == f"/v0.1/executor_interface/{stand.config.token}"
    assert process.returncode == 0


async def test_a_wrong_environment_is_said_line_by_line() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "executor", env={"EXECUTOR_CPUS": "many"}, stderr=PIPE
    )

    _, said = await process.communicate()

    assert process.returncode == 2
    assert [line.split()[0] for line in said.decode().splitlines()] == [
        "EXECUTOR_TOKEN",
        "MINER_ADDRESS",
        "EXECUTOR_CPUS",
    ]

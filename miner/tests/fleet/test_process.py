import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from compute_horde_common.containers.docker import DockerEngine
from miner.fleet.interface import FleetError, Running, Setting
from miner.fleet.process import ProcessManager

WITHIN = 5.0
STAYS = (sys.executable, "-c", "import signal; signal.pause()")
STUBBORN = (
    sys.executable,
    "-c",
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pause()",
)
ENDS = (sys.executable, "-c", "")
SHOWS = (sys.executable, "-c", "import os; print(sorted(os.environ))")
OWNER = f"tests-{os.getpid()}"
ENV = {"EXECUTOR_TOKEN": "token", "EXECUTOR_OWNER": OWNER}


@pytest.fixture
async def setting(tmp_path: Path) -> AsyncIterator[Setting]:
    async with DockerEngine() as engine:
        yield Setting(
            owner=OWNER,
            engine=engine,
            image="",
            network="",
            work_directory=tmp_path,
            log_directory=tmp_path,
        )


async def test_an_executor_runs_until_it_is_stopped(setting: Setting) -> None:
    manager = ProcessManager(setting, STAYS)
    handle = await manager.start("token", "always_on.test", ENV)
    assert await manager.alive(handle)

    await manager.stop(handle)

    assert not await manager.alive(handle)


async def test_one_that_ignores_signals_is_killed(setting: Setting) -> None:
    manager = ProcessManager(setting, STUBBORN, stop_seconds=0.5)
    handle = await manager.start("token", "always_on.test", ENV)

    await manager.stop(handle)

    assert not await manager.alive(handle)


async def test_an_end_is_noticed_without_asking(setting: Setting) -> None:
    manager = ProcessManager(setting, ENDS)
    ended = asyncio.Event()
    manager.watch(ended.set)

    handle = await manager.start("token", "always_on.test", ENV)

    async with asyncio.timeout(WITHIN):
        await ended.wait()
    assert not await manager.alive(handle)


async def test_another_manager_finds_the_executor_again(setting: Setting) -> None:
    handle = await ProcessManager(setting, STAYS).start("token", "always_on.test", ENV)
    another = ProcessManager(setting, STAYS)
    ended = asyncio.Event()
    another.watch(ended.set)

    assert await another.owned() == [Running(handle, "token")]

    os.kill(int(handle.partition(":")[0]), signal.SIGKILL)
    async with asyncio.timeout(WITHIN):
        await ended.wait()


async def test_an_executor_gets_none_of_our_secrets(setting: Setting, tmp_path: Path) -> None:
    manager = ProcessManager(setting, SHOWS)
    ended = asyncio.Event()
    manager.watch(ended.set)

    await manager.start("token", "always_on.test", ENV)
    async with asyncio.timeout(WITHIN):
        await ended.wait()

    shown = (tmp_path / "executors.log").read_text()
    assert "EXECUTOR_TOKEN" in shown
    assert "SECRET_KEY" not in shown


async def test_a_process_with_the_same_number_is_not_the_executor(setting: Setting) -> None:
    manager = ProcessManager(setting, STAYS)

    assert not await manager.alive(f"{os.getpid()}:1")
    assert not await manager.alive("")


async def test_a_program_that_is_missing_is_an_error_of_the_fleet(setting: Setting) -> None:
    manager = ProcessManager(setting, ("/nonexistent/executor",))

    with pytest.raises(FleetError):
        await manager.start("token", "always_on.test", ENV)

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from compute_horde_common.clock import HandWoundClock, SystemClock
from compute_horde_common.containers.docker import DockerEngine
from compute_horde_common.containers.labels import OWNER_LABEL
from compute_horde_common.containers.scratch_image import build_busybox_image
from compute_horde_common.jobs.failures import HordeFailureReason, JobFailureReason
from compute_horde_common.protocol.validator_miner import (
    AcceptJob,
    ExecutionDone,
    ExecutorReady,
    HordeFailed,
    JobFailedReport,
    JobFinished,
    MachineSpecs,
    StreamingReady,
    VolumesReady,
)
from executor.links.miner import MinerLost
from tests.conversations.engines import PretendingEngine
from tests.conversations.executors import executor_line
from tests.conversations.sides import Side, at, until
from tests.conversations.subnet import Subnet, statuses
from tests.conversations.wires import HastyClock
from tests.conversations.workshop import (
    IMAGE,
    JOB,
    OWNER,
    Workshop,
    a_start,
    executor_is_ready,
    executor_state,
    job_has_failed,
    last_words,
    said,
)

GOOD_RUN = [
    kind.__name__
    for kind in (AcceptJob, ExecutorReady, VolumesReady, ExecutionDone, MachineSpecs, JobFinished)
]


@pytest.fixture
def engine() -> PretendingEngine:
    return PretendingEngine()


@pytest.fixture
def endless() -> PretendingEngine:
    return PretendingEngine(code=None)


@pytest.fixture
async def docker() -> AsyncIterator[DockerEngine]:
    async with DockerEngine() as engine:
        await build_busybox_image(engine, IMAGE)
        yield engine


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_a_job_is_told_stage_by_stage(engine: PretendingEngine, tmp_path: Path) -> None:
    workshop = await Workshop(SystemClock(), engine, tmp_path).ready()

    async with workshop.serving():
        await workshop.offer()
        await workshop.start()

    assert await said() == GOOD_RUN
    assert JobFinished.model_validate_json(await last_words()).docker_process_stdout == "echo ż\n"


async def test_nothing_is_left_when_the_executor_has_gone(
    engine: PretendingEngine, tmp_path: Path
) -> None:
    workshop = await Workshop(SystemClock(), engine, tmp_path).ready()

    async with workshop.serving():
        await workshop.offer()
        await workshop.start()

    assert (engine.specs, files_in(tmp_path)) == ({}, [])
    assert await at(Side.MINER, executor_state)() == "leaving"


async def test_a_job_in_a_real_container(docker: DockerEngine, tmp_path: Path) -> None:
    workshop = await Workshop(SystemClock(), docker, tmp_path).ready()

    async with workshop.serving():
        await workshop.offer()
        await workshop.start("echo", "hello")

    finished = JobFinished.model_validate_json(await last_words())
    assert finished.docker_process_stdout == "hello\n"
    assert await docker.owned({OWNER_LABEL: OWNER}) == []


async def test_a_job_of_a_real_validator(engine: PretendingEngine, tmp_path: Path) -> None:
    clock = HastyClock()
    workshop = await Workshop(clock, engine, tmp_path).ready()
    subnet = await Subnet(clock).ready()
    job = await subnet.assigned()

    async with workshop.serving():
        await subnet.run(job)

    assert (await statuses(job))[-1] == "completed"
    assert await said() == []


async def test_an_exit_status_is_told(tmp_path: Path) -> None:
    workshop = await Workshop(SystemClock(), PretendingEngine(code=3), tmp_path).ready()

    async with workshop.serving():
        await workshop.offer()
        await workshop.start()

    failure = JobFailedReport.model_validate_json(await last_words())
    assert (failure.reason, failure.docker_process_exit_status) == (
        JobFailureReason.NONZERO_RETURN_CODE,
        3,
    )


async def test_a_job_over_its_time_is_told(
    endless: PretendingEngine, tmp_path: Path, hand_wound_clock: HandWoundClock
) -> None:
    workshop = await Workshop(hand_wound_clock, endless, tmp_path).ready()

    async with workshop.serving():
        await workshop.offer()
        await workshop.start()
        await endless.running.wait()
        await hand_wound_clock.advance(60)

    failure = JobFailedReport.model_validate_json(await last_words())
    assert failure.reason == JobFailureReason.TIMEOUT


async def test_a_wrong_token_is_refused(engine: PretendingEngine, tmp_path: Path) -> None:
    workshop = await Workshop(SystemClock(), engine, tmp_path).ready()

    with pytest.raises(MinerLost, match="token"):
        await workshop.serve(executor_line("wrong", workshop.clock))


async def test_a_token_works_once(engine: PretendingEngine, tmp_path: Path) -> None:
    workshop = await Workshop(SystemClock(), engine, tmp_path).ready()

    async with workshop.serving():
        with pytest.raises(MinerLost, match="used before"):
            await workshop.serve()
        await workshop.offer()
        await workshop.start()

    assert await said() == GOOD_RUN


async def test_an_executor_that_is_not_needed_is_let_go(
    engine: PretendingEngine, tmp_path: Path
) -> None:
    workshop = await Workshop(SystemClock(), engine, tmp_path).ready()

    async with workshop.serving() as serving:
        await workshop.line.wires[0].answering.close()
        await serving

    assert await at(Side.MINER, executor_state)() == "leaving"


async def test_an_executor_that_is_lost_in_mid_job_fails_the_job(
    endless: PretendingEngine, tmp_path: Path
) -> None:
    workshop = await Workshop(SystemClock(), endless, tmp_path).ready()

    async with workshop.serving() as serving:
        await workshop.offer()
        await workshop.start()
        await endless.running.wait()
        await workshop.line.wires[0].dialling.close()
        with pytest.raises(MinerLost, match="mid-job"):
            await serving

    failure = HordeFailed.model_validate_json(await last_words())
    assert failure.reason == HordeFailureReason.EXECUTOR_DISCONNECTED
    assert (endless.specs, files_in(tmp_path)) == ({}, [])


async def test_a_job_that_the_validator_gives_up_ends_its_executor(
    endless: PretendingEngine, tmp_path: Path
) -> None:
    workshop = await Workshop(SystemClock(), endless, tmp_path).ready()

    async with workshop.serving() as serving:
        await workshop.offer()
        await workshop.start()
        await endless.running.wait()
        await workshop.give_up()
        with pytest.raises(MinerLost):
            await serving

    assert (endless.specs, files_in(tmp_path)) == ({}, [])


RUBBISH = pytest.mark.parametrize("rubbish", ["{", "[]", '{"message_type":"V9"}', '"\\u0000"'])


@RUBBISH
async def test_rubbish_from_the_miner_does_no_harm(
    engine: PretendingEngine, tmp_path: Path, rubbish: str
) -> None:
    workshop = await Workshop(SystemClock(), engine, tmp_path).ready()

    async with workshop.serving():
        await workshop.say(rubbish, from_miner=True)
        await workshop.offer()
        await workshop.start()

    assert await said() == GOOD_RUN


@RUBBISH
async def test_rubbish_from_the_executor_does_no_harm(
    engine: PretendingEngine, tmp_path: Path, rubbish: str
) -> None:
    workshop = await Workshop(SystemClock(), engine, tmp_path).ready()

    async with workshop.serving():
        await workshop.offer()
        await until(Side.MINER, executor_is_ready)
        await workshop.say(rubbish, from_miner=False)
        await workshop.start()

    assert await said() == GOOD_RUN


@pytest.mark.parametrize(
    "message",
    [
        VolumesReady(job_uuid=JOB),
        JobFinished(job_uuid=JOB, docker_process_stdout="", docker_process_stderr=""),
        StreamingReady(job_uuid=JOB, public_key="pem", port=1),
        ExecutionDone(job_uuid="0" * 8),
    ],
    ids=lambda message: type(message).__name__,
)
async def test_what_an_executor_says_out_of_order_is_not_told(
    endless: PretendingEngine,
    tmp_path: Path,
    message: VolumesReady | JobFinished | StreamingReady | ExecutionDone,
) -> None:
    workshop = await Workshop(SystemClock(), endless, tmp_path).ready()

    async with workshop.serving() as serving:
        await workshop.offer()
        await until(Side.MINER, executor_is_ready)
        await workshop.say(message, from_miner=False)
        await workshop.complained()
        serving.cancel()

    assert type(message).__name__ not in await said()


@pytest.mark.parametrize("early", [True, False])
async def test_a_job_that_is_started_out_of_turn_runs_once(
    engine: PretendingEngine, tmp_path: Path, early: bool
) -> None:
    workshop = await Workshop(SystemClock(), engine, tmp_path).ready()

    async with workshop.serving():
        if early:
            await workshop.say(a_start(), from_miner=True)
        await workshop.offer()
        await workshop.start()
        if not early:
            await workshop.say(a_start(), from_miner=True)

    assert await said() == GOOD_RUN


async def test_the_job_of_another_executor_is_not_run(
    engine: PretendingEngine, tmp_path: Path
) -> None:
    workshop = await Workshop(SystemClock(), engine, tmp_path).ready()
    other = a_start("rm").model_copy(update={"job_uuid": JOB.replace("0", "1")})

    async with workshop.serving() as serving:
        await workshop.offer()
        await until(Side.MINER, executor_is_ready)
        await workshop.say(other, from_miner=True)
        await until(Side.MINER, job_has_failed)
        serving.cancel()

    told = HordeFailed.model_validate_json(await last_words())
    assert told.message == "this executor has another job"

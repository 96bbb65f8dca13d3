"""What a miner says of a running job, on its way through the job's conversation."""

import pytest

from compute_horde_common.clock import HandWoundClock
from compute_horde_common.protocol.live import JOB_CONTROL, JobLog, JobProgress, LogPiece
from tests.links.scripted import UUID_TEXT, ListDesk, MemoryDial, Redial, running
from validator.domain.assignments import Assignment
from validator.domain.phases import BEFORE_EXECUTION, Phase

OTHER = "00000000-0000-0000-0000-000000000008"
LOG = JobLog(job_uuid=UUID_TEXT, pieces=[LogPiece(number=0, stream="stderr", text="hello\n")])
PROGRESS = JobProgress(job_uuid=UUID_TEXT, percent=12.5, text="warming up")


@pytest.fixture
def dial(dial: MemoryDial) -> MemoryDial:
    dial.subprotocol = JOB_CONTROL
    return dial


@pytest.mark.parametrize("phase", Phase)
async def test_output_is_passed_on_once_the_job_cannot_move_and_progress_always(
    job: Assignment, dial: MemoryDial, desk: ListDesk, phase: Phase
) -> None:
    async with running(job, dial, desk):
        miner = await dial.socket()
        await miner.greet()
        await miner.say_until(phase)
        await miner.link.send(LOG)
        await miner.link.send(PROGRESS)
        await miner.say(*list(Phase)[list(Phase).index(phase) :])
        await miner.farewell()

    assert desk.news == ([PROGRESS] if phase in BEFORE_EXECUTION else [LOG, PROGRESS])


async def test_what_a_miner_says_of_another_job_is_not_passed_on(
    job: Assignment, dial: MemoryDial, desk: ListDesk
) -> None:
    async with running(job, dial, desk):
        miner = await dial.socket()
        await miner.greet()
        await miner.say_until(Phase.EXECUTION)
        await miner.link.send(LOG.model_copy(update={"job_uuid": OTHER}))
        await miner.link.send(PROGRESS.model_copy(update={"job_uuid": OTHER}))
        await miner.say(Phase.EXECUTION, Phase.FINAL)
        await miner.farewell()

    assert desk.news == []


async def test_a_miner_that_did_not_choose_job_control_is_not_heard(
    job: Assignment, dial: MemoryDial, desk: ListDesk
) -> None:
    dial.subprotocol = None
    async with running(job, dial, desk):
        miner = await dial.socket()
        await miner.greet()
        await miner.say_until(Phase.EXECUTION)
        await miner.link.send(LOG)
        await miner.say(Phase.EXECUTION, Phase.FINAL)
        await miner.farewell()

    assert desk.news == []


async def test_what_is_said_again_on_a_new_socket_is_passed_on_again(
    job: Assignment, dial: MemoryDial, desk: ListDesk, redial: Redial
) -> None:
    async with running(job, dial, desk):
        first = await dial.socket()
        await first.greet()
        await first.say_until(Phase.EXECUTION)
        await first.link.send(LOG)
        await first.link.close()
        second = await redial()
        await second.greet()
        await second.say(*list(Phase)[:4])
        await second.link.send(LOG)
        await second.say(Phase.EXECUTION, Phase.FINAL)
        await second.farewell()

    assert desk.news == [LOG, LOG]


async def test_output_does_not_put_off_the_limit_of_the_phase(
    job: Assignment, dial: MemoryDial, desk: ListDesk, hand_wound_clock: HandWoundClock
) -> None:
    async with running(job, dial, desk) as task:
        miner = await dial.socket()
        await miner.greet()
        await miner.say_until(Phase.EXECUTION)
        await desk.waits_for(Phase.EXECUTION)
        while not task.done():
            await miner.link.send(LOG)
            await hand_wound_clock.advance(5)

    assert (hand_wound_clock.now() - job.started_at).total_seconds() <= 100

"""A job that its author cancels while it is on a miner."""

import asyncio
from dataclasses import replace
from datetime import datetime

import pytest

from compute_horde_common.clock import HandWoundClock
from compute_horde_common.jobs.failures import JobFailure
from compute_horde_common.jobs.lifecycle import JobStatus
from compute_horde_common.jobs.timing import Deadline
from compute_horde_common.links.link import LinkClosed, LinkTimeout
from compute_horde_common.protocol.live import CANCEL_SECONDS, JOB_CONTROL, CancelJob
from compute_horde_common.protocol.validator_miner import (
    DeclineJob,
    FinishedReceipt,
    HordeFailed,
    JobFailedReport,
)
from tests.links.scripted import (
    PATIENCE,
    UUID_TEXT,
    ListDesk,
    MemoryDial,
    PassTime,
    Redial,
    ScriptedMiner,
    ending,
    outcome,
    running,
)
from validator.domain.assignments import Assignment
from validator.domain.phases import REACHED, STAGES, Phase, Progress, cancelled

ON_REQUEST = JobFailure(
    reason="cancelled",
    stage="execution",
    message="cancelled",
    docker_process_exit_status=143,
    docker_process_stdout="half of it",
)


@pytest.fixture
def dial(dial: MemoryDial) -> MemoryDial:
    """Miners that understand cancellation."""
    dial.subprotocol = JOB_CONTROL
    return dial


async def cancel_heard(miner: ScriptedMiner) -> bool:
    """Whether the miner is asked to cancel the job, and nothing else is said of it after that."""
    asked = await miner.link.expect(CancelJob, within=PATIENCE)
    return asked == CancelJob(job_uuid=UUID_TEXT)


def reached_before(phase: Phase) -> list[JobStatus]:
    return [REACHED[earlier] for earlier in list(Phase)[: list(Phase).index(phase)]]


@pytest.mark.parametrize("phase", Phase)
async def test_the_report_of_a_miner_that_is_asked_to_cancel_counts(
    job: Assignment, dial: MemoryDial, desk: ListDesk, phase: Phase
) -> None:
    async with running(job, dial, desk) as task:
        miner = await dial.socket()
        await miner.greet()
        await miner.say_until(phase)
        await desk.waits_for(phase)
        desk.wish.set()

        assert await cancel_heard(miner)
        await miner.link.send(JobFailedReport.of(UUID_TEXT, ON_REQUEST))
        assert await ending(task) == ON_REQUEST
        assert (await miner.farewell()).payload.score_str == "0.000000"
    assert (desk.statuses, desk.failures) == (reached_before(phase), [ON_REQUEST])


@pytest.mark.parametrize("phase", Phase)
async def test_a_miner_that_does_not_report_is_waited_for_a_moment(
    job: Assignment,
    dial: MemoryDial,
    desk: ListDesk,
    hand_wound_clock: HandWoundClock,
    phase: Phase,
) -> None:
    budget = replace(job.budget, reservation=CANCEL_SECONDS + 5, readiness=CANCEL_SECONDS + 5)
    async with running(replace(job, budget=budget), dial, desk) as task:
        miner = await dial.socket()
        await miner.greet()
        await miner.say_until(phase)
        await desk.waits_for(phase)
        desk.wish.set()
        await cancel_heard(miner)
        await hand_wound_clock.advance(CANCEL_SECONDS - 0.1)
        assert not task.done()
        await hand_wound_clock.advance(0.1)

        assert await ending(task) == cancelled(phase)
        assert (await miner.farewell()).payload.score_str == "0.000000"
    assert desk.failures == [cancelled(phase)]


@pytest.mark.parametrize("phase", Phase)
async def test_a_miner_that_cannot_be_asked_is_not_waited_for(
    job: Assignment, dial: MemoryDial, desk: ListDesk, phase: Phase
) -> None:
    dial.subprotocol = None
    async with running(job, dial, desk) as task:
        miner = await dial.socket()
        await miner.greet()
        await miner.say_until(phase)
        await desk.waits_for(phase)
        desk.wish.set()

        assert await ending(task) == cancelled(phase)
        receipt = await miner.link.receive(within=PATIENCE)
        with pytest.raises(LinkClosed):
            await miner.link.receive(within=PATIENCE)
    assert isinstance(receipt, FinishedReceipt)
    assert receipt.payload.score_str == "0.000000"
    assert (desk.failures, desk.farewells) == ([cancelled(phase)], 1)


@pytest.mark.parametrize("phase", Phase)
async def test_a_job_that_completes_all_the_same_is_completed(
    job: Assignment, dial: MemoryDial, desk: ListDesk, phase: Phase
) -> None:
    async with running(job, dial, desk) as task:
        miner = await dial.socket()
        await miner.greet()
        await miner.say_until(phase)
        await desk.waits_for(phase)
        desk.wish.set()
        await cancel_heard(miner)
        await miner.say(*list(Phase)[list(Phase).index(phase) :])
        receipt = await miner.farewell()
        await asyncio.wait_for(task, PATIENCE)

    assert receipt.payload.score_str == "60.000000"
    assert desk.statuses[-1] == JobStatus.COMPLETED


@pytest.mark.parametrize("subprotocol", [JOB_CONTROL, None])
async def test_a_result_that_is_here_when_the_wish_comes_counts(
    job: Assignment, dial: MemoryDial, desk: ListDesk, subprotocol: str | None
) -> None:
    dial.subprotocol = subprotocol
    async with running(job, dial, desk) as task:
        miner = await dial.socket()
        await miner.greet()
        await miner.say_until(Phase.FINAL)
        await desk.waits_for(Phase.FINAL)
        await miner.say(Phase.FINAL)
        desk.wish.set()
        await miner.farewell()
        await asyncio.wait_for(task, PATIENCE)

    assert (desk.statuses[-1], desk.failures) == (JobStatus.COMPLETED, [])


async def test_a_job_that_is_cancelled_is_not_sent_any_more(
    job: Assignment, dial: MemoryDial, desk: ListDesk
) -> None:
    async with running(job, dial, desk) as task:
        miner = await dial.socket()
        await miner.greet()
        await miner.say_until(Phase.READINESS)
        desk.wish.set()
        await cancel_heard(miner)
        await miner.say(Phase.READINESS)
        await miner.link.send(JobFailedReport.of(UUID_TEXT, ON_REQUEST))
        await ending(task)

        assert isinstance(await miner.link.receive(within=PATIENCE), FinishedReceipt)


@pytest.mark.parametrize("phase", Phase)
async def test_each_new_socket_is_told_of_the_cancellation(
    job: Assignment, dial: MemoryDial, desk: ListDesk, redial: Redial, phase: Phase
) -> None:
    async with running(job, dial, desk) as task:
        first = await dial.socket()
        await first.greet()
        await first.say_until(phase)
        await desk.waits_for(phase)
        desk.wish.set()
        await cancel_heard(first)
        await first.link.close()
        second = await redial()
        await second.greet()

        assert await cancel_heard(second)
        await second.link.send(JobFailedReport.of(UUID_TEXT, ON_REQUEST))
        assert await ending(task) == ON_REQUEST


async def test_the_job_is_not_sent_again_on_a_new_socket_once_it_is_cancelled(
    job: Assignment, dial: MemoryDial, desk: ListDesk, redial: Redial
) -> None:
    async with running(job, dial, desk):
        first = await dial.socket()
        await first.greet()
        await first.say_until(Phase.VOLUMES)
        desk.wish.set()
        await first.link.close()
        second = await redial()
        await second.greet()

        assert isinstance(await second.link.receive(within=PATIENCE), CancelJob)


@pytest.mark.parametrize("phase", list(Phase)[1:])
async def test_a_miner_that_stays_away_is_waited_for_a_moment_only(
    job: Assignment,
    dial: MemoryDial,
    desk: ListDesk,
    hand_wound_clock: HandWoundClock,
    pass_time: PassTime,
    phase: Phase,
) -> None:
    async with running(job, dial, desk) as task:
        miner = await dial.socket()
        await miner.greet()
        await miner.say_until(phase)
        await desk.waits_for(phase)
        desk.wish.set()
        await cancel_heard(miner)
        began = hand_wound_clock.now()
        dial.broken = True
        await miner.link.close()
        await pass_time(task)

        assert await ending(task) == cancelled(phase)
        assert (hand_wound_clock.now() - began).total_seconds() <= CANCEL_SECONDS + 1


async def test_a_job_is_not_offered_once_it_is_cancelled(
    job: Assignment, dial: MemoryDial, desk: ListDesk
) -> None:
    desk.wish.set()
    async with running(job, dial, desk) as task:
        assert await ending(task) == cancelled(None)

    assert (dial.tries, desk.abandoned, desk.failures) == (0, [cancelled(None)], [])


async def test_the_limit_of_the_phase_holds_for_a_cancelled_job_too(
    job: Assignment, dial: MemoryDial, desk: ListDesk, hand_wound_clock: HandWoundClock
) -> None:
    async with running(job, dial, desk) as task:
        miner = await dial.socket()
        await miner.greet()
        await hand_wound_clock.advance(6)
        desk.wish.set()
        await cancel_heard(miner)
        await hand_wound_clock.advance(1)

        assert await ending(task) == cancelled(Phase.RESERVATION)


@pytest.mark.parametrize("phase", list(Phase)[1:])
async def test_a_restart_goes_on_with_the_cancellation(
    job: Assignment, dial: MemoryDial, desk: ListDesk, at: datetime, phase: Phase
) -> None:
    waiting = replace(job, progress=Progress(phase, Deadline.starting(at, 60)))
    desk.wish.set()
    async with running(waiting, dial, desk) as task:
        miner = await dial.socket()
        await miner.greet()

        assert isinstance(await miner.link.receive(within=PATIENCE), CancelJob)
        await miner.link.send(JobFailedReport.of(UUID_TEXT, ON_REQUEST))
        assert await ending(task) == ON_REQUEST


async def test_a_miner_cannot_cancel_a_job_by_itself(
    job: Assignment, dial: MemoryDial, desk: ListDesk
) -> None:
    async with running(job, dial, desk) as task:
        miner = await dial.socket()
        await miner.greet()
        await miner.say_until(Phase.EXECUTION)
        await miner.link.send(JobFailedReport.of(UUID_TEXT, ON_REQUEST))

        assert await outcome(task) == "generic_error"


@pytest.mark.parametrize(
    "report",
    [
        DeclineJob(job_uuid=UUID_TEXT, reason="busy"),
        HordeFailed(
            job_uuid=UUID_TEXT, reported_by="miner", message="", reason="executor_disconnected"
        ),
    ],
)
async def test_what_else_a_miner_reports_of_a_cancelled_job_ends_it_there(
    job: Assignment, dial: MemoryDial, desk: ListDesk, report: DeclineJob | HordeFailed
) -> None:
    async with running(job, dial, desk) as task:
        miner = await dial.socket()
        await miner.greet()
        desk.wish.set()
        await cancel_heard(miner)
        await miner.link.send(report)

        assert await outcome(task) == report.reason


async def test_a_miner_that_is_not_asked_to_cancel_hears_nothing_of_it(
    job: Assignment, dial: MemoryDial, desk: ListDesk
) -> None:
    async with running(job, dial, desk):
        miner = await dial.socket()
        await miner.greet()
        await miner.say_until(Phase.VOLUMES)
        with pytest.raises(LinkTimeout):
            await miner.link.receive(within=0.05)


def test_every_phase_has_its_stage() -> None:
    assert set(STAGES) == set(Phase)

"""Jobs that their authors cancel, wherever they are."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from compute_horde_common.contrib.django.db import in_database
from compute_horde_common.contrib.django.models import StoredReceipt
from compute_horde_common.jobs.failures import JobFailure
from compute_horde_common.jobs.lifecycle import JobStatus
from compute_horde_common.protocol.facilitator_validator import StatusMetadata
from compute_horde_common.protocol.live import JOB_CONTROL, CancelJob
from compute_horde_common.protocol.validator_miner import DeclineJob, HordeFailed, JobFailedReport
from tests.links.dispatching import (
    DispatcherIn,
    Serve,
    Take,
    begin_and_stop,
    complete,
    said,
    statuses,
    until_one_waits,
)
from tests.links.scripted import PATIENCE, MemoryDial, ScriptedMiner
from validator.domain.phases import Phase, cancelled
from validator.links.dispatch import Dispatcher
from validator.links.office import Office
from validator.models import Attempt
from validator.services import jobs

pytestmark = pytest.mark.django_db(transaction=True)
Cancel = Callable[[Dispatcher, str], Awaitable[None]]
Note = Callable[[str], Awaitable[bool]]
ON_REQUEST = JobFailure(
    reason="cancelled", stage="execution", message="cancelled", docker_process_exit_status=143
)


@pytest.fixture
def dial(dial: MemoryDial) -> MemoryDial:
    dial.subprotocol = JOB_CONTROL
    return dial


@pytest.fixture
def note(quick_office: Office) -> Note:
    """Stores the wish of a job's author, and does nothing about it."""
    store = in_database(jobs.request_cancel)
    return lambda job_uuid: store(job_uuid, quick_office.clock.now())


@pytest.fixture
def cancel(note: Note) -> Cancel:
    """What happens when the facilitator relays the wish."""

    async def both(dispatcher: Dispatcher, job_uuid: str) -> None:
        assert await note(job_uuid)
        dispatcher.cancel(job_uuid)

    return both


async def how_it_failed(job_uuid: str) -> StatusMetadata | None:
    last = (await said(job_uuid))[-1]
    assert last.status == JobStatus.FAILED
    return last.metadata


async def report_on_request(miner: ScriptedMiner, job_uuid: str) -> None:
    await miner.link.expect(CancelJob, within=PATIENCE)
    await miner.link.send(JobFailedReport.of(job_uuid, ON_REQUEST))
    await miner.farewell()


def attempts_made() -> list[str]:
    return list(Attempt.objects.values_list("outcome", flat=True))


def scores() -> list[bool]:
    kept = StoredReceipt.objects.filter(receipt_type="JobFinishedReceipt")
    return ['"score_str": "0.000000"' in receipt.payload for receipt in kept]


@pytest.mark.parametrize("phase", Phase)
async def test_a_job_that_is_cancelled_on_its_miner_ends_there_and_is_worth_nothing(
    dispatcher_in: DispatcherIn,
    serve: Serve,
    take: Take,
    dial: MemoryDial,
    cancel: Cancel,
    phase: Phase,
) -> None:
    await serve("one", "two")
    case = await take()

    async with asyncio.TaskGroup() as group:
        dispatcher = dispatcher_in(group)
        dispatcher.start(case.uuid, case)
        miner = await dial.socket()
        await miner.greet()
        await miner.say_until(phase, uuid=case.uuid)
        await cancel(dispatcher, case.uuid)
        await report_on_request(miner, case.uuid)

    assert await how_it_failed(case.uuid) == StatusMetadata(job_failure_details=ON_REQUEST)
    assert await in_database(attempts_made)() == ["cancelled"]
    assert await in_database(scores)() == [True]


async def test_a_job_that_waits_for_an_executor_is_cancelled_at_once(
    dispatcher_in: DispatcherIn, serve: Serve, take: Take, dial: MemoryDial, cancel: Cancel
) -> None:
    await serve("one")
    first, second = await take(), await take()

    async with asyncio.TaskGroup() as group:
        dispatcher = dispatcher_in(group)
        dispatcher.start(first.uuid, first)
        miner = await dial.socket()
        dispatcher.start(second.uuid, second)
        await until_one_waits(dispatcher)
        await cancel(dispatcher, second.uuid)
        await until_ended(second.uuid)
        await miner.greet()
        await complete(miner, first.uuid)

    assert await how_it_failed(second.uuid) == StatusMetadata(job_failure_details=cancelled(None))
    assert dial.tries == 1


async def until_ended(job_uuid: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while not (await statuses(job_uuid))[-1].is_end:
            pass


async def test_a_cancelled_job_is_not_tried_on_another_miner(
    dispatcher_in: DispatcherIn, serve: Serve, take: Take, dial: MemoryDial, cancel: Cancel
) -> None:
    await serve("one", "two")
    case = await take()

    async with asyncio.TaskGroup() as group:
        dispatcher = dispatcher_in(group)
        dispatcher.start(case.uuid, case)
        miner = await dial.socket()
        await miner.greet()
        await cancel(dispatcher, case.uuid)
        await miner.link.expect(CancelJob, within=PATIENCE)
        await miner.link.send(DeclineJob(job_uuid=case.uuid, reason="busy", message="full"))

    assert await how_it_failed(case.uuid) == StatusMetadata(job_failure_details=cancelled(None))
    assert await in_database(attempts_made)() == ["busy"]


async def test_what_the_network_gets_wrong_about_a_cancelled_job_is_not_its_end(
    dispatcher_in: DispatcherIn, serve: Serve, take: Take, dial: MemoryDial, cancel: Cancel
) -> None:
    await serve("one")
    case = await take()
    lost = HordeFailed(
        job_uuid=case.uuid, reported_by="miner", reason="executor_disconnected", message=""
    )

    async with asyncio.TaskGroup() as group:
        dispatcher = dispatcher_in(group)
        dispatcher.start(case.uuid, case)
        miner = await dial.socket()
        await miner.greet()
        await miner.say_until(Phase.EXECUTION, uuid=case.uuid)
        await until_phase(case.uuid, Phase.EXECUTION)
        await cancel(dispatcher, case.uuid)
        await miner.link.expect(CancelJob, within=PATIENCE)
        await miner.link.send(lost)

    expected = StatusMetadata(job_failure_details=cancelled(Phase.EXECUTION))
    assert await how_it_failed(case.uuid) == expected
    assert await in_database(attempts_made)() == ["executor_disconnected"]


@pytest.mark.parametrize("phase", list(Phase)[1:])
async def test_a_cancellation_goes_on_after_a_restart(
    dispatcher_in: DispatcherIn,
    serve: Serve,
    take: Take,
    dial: MemoryDial,
    note: Note,
    phase: Phase,
) -> None:
    await serve("one")
    case = await take()

    async def until_killed() -> None:
        async with asyncio.TaskGroup() as group:
            dispatcher_in(group).start(case.uuid, case)
            miner = await dial.socket()
            await miner.greet()
            await miner.say_until(phase, uuid=case.uuid)
            await until_phase(case.uuid, phase)
            raise asyncio.CancelledError

    await begin_and_stop(until_killed)
    await note(case.uuid)
    async with asyncio.TaskGroup() as group:
        await dispatcher_in(group).resume()
        miner = await dial.socket()
        await miner.greet()
        await report_on_request(miner, case.uuid)

    assert await how_it_failed(case.uuid) == StatusMetadata(job_failure_details=ON_REQUEST)


async def until_phase(job_uuid: str, phase: Phase) -> None:
    waits = in_database(Attempt.objects.filter(job_id=job_uuid, phase=phase).exists)
    async with asyncio.timeout(PATIENCE):
        while not await waits():
            pass


async def test_a_job_that_was_cancelled_before_a_restart_is_offered_to_nobody(
    dispatcher_in: DispatcherIn, serve: Serve, take: Take, dial: MemoryDial, note: Note
) -> None:
    await serve("one")
    case = await take()
    await note(case.uuid)

    async with asyncio.TaskGroup() as group:
        await dispatcher_in(group).resume()

    assert await how_it_failed(case.uuid) == StatusMetadata(job_failure_details=cancelled(None))
    assert dial.tries == 0


async def test_a_job_that_nobody_drives_is_cancelled_as_well(
    dispatcher_in: DispatcherIn, serve: Serve, take: Take, dial: MemoryDial, cancel: Cancel
) -> None:
    await serve("one")
    case = await take()

    async with asyncio.TaskGroup() as group:
        await cancel(dispatcher_in(group), case.uuid)

    assert await statuses(case.uuid) == [JobStatus.RECEIVED, JobStatus.FAILED]


async def test_a_job_that_completes_before_its_miner_hears_of_the_wish_is_completed(
    dispatcher_in: DispatcherIn, serve: Serve, take: Take, dial: MemoryDial, cancel: Cancel
) -> None:
    await serve("one")
    case = await take()

    async with asyncio.TaskGroup() as group:
        dispatcher = dispatcher_in(group)
        dispatcher.start(case.uuid, case)
        miner = await dial.socket()
        await miner.greet()
        await miner.say_until(Phase.FINAL, uuid=case.uuid)
        await cancel(dispatcher, case.uuid)
        await miner.say(Phase.FINAL, uuid=case.uuid)
        await miner.farewell()
        dispatcher.cancel(case.uuid)

    assert (await statuses(case.uuid))[-1] == JobStatus.COMPLETED

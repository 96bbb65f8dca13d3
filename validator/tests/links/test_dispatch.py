import asyncio

import pytest

from compute_horde_common.contrib.django.db import in_database
from compute_horde_common.jobs.failures import (
    HordeFailure,
    HordeFailureReason,
    JobFailure,
    Rejection,
)
from compute_horde_common.jobs.lifecycle import JobStatus
from compute_horde_common.protocol.facilitator_validator import StatusMetadata
from compute_horde_common.protocol.validator_miner import (
    DeclineJob,
    HordeFailed,
    JobFailedReport,
    StartJob,
)
from tests.links.dispatching import (
    EVERY_STATUS,
    DispatcherIn,
    NeverWaits,
    Serve,
    Subnet,
    Take,
    begin_and_stop,
    complete,
    said,
    statuses,
    until_one_waits,
)
from tests.links.scripted import MemoryDial, ScriptedMiner
from validator.domain.phases import Phase
from validator.links.dispatch import MOST_TRIES
from validator.models import Attempt
from validator.services import jobs

pytestmark = pytest.mark.django_db(transaction=True)


async def rejection(job_uuid: str) -> Rejection:
    """Why a job was rejected, once nothing more is to be said about it."""
    last = (await said(job_uuid))[-1]
    assert last.metadata is not None
    assert last.metadata.job_rejection_details is not None
    return last.metadata.job_rejection_details


async def horde_failure(job_uuid: str) -> HordeFailure:
    """Why a job failed, likewise."""
    last = (await said(job_uuid))[-1]
    assert last.metadata is not None
    assert last.metadata.horde_failure_details is not None
    return last.metadata.horde_failure_details


async def decline(miner: ScriptedMiner, job_uuid: str) -> None:
    await miner.greet()
    await miner.link.send(DeclineJob(job_uuid=job_uuid, reason="busy", message="full"))
    await miner.farewell()


async def test_a_job_runs_and_every_status_is_to_be_said(
    dispatcher_in: DispatcherIn, serve: Serve, take: Take, dial: MemoryDial
) -> None:
    await serve("one")
    case = await take()

    async with asyncio.TaskGroup() as group:
        dispatcher_in(group).start(case.uuid, case)
        miner = await dial.socket()
        await miner.greet()
        await complete(miner, case.uuid)

    assert await statuses(case.uuid) == EVERY_STATUS


async def test_the_next_miner_is_asked_when_one_declines(
    dispatcher_in: DispatcherIn, serve: Serve, take: Take, dial: MemoryDial
) -> None:
    await serve("one", "two")
    case = await take()

    async with asyncio.TaskGroup() as group:
        dispatcher_in(group).start(case.uuid, case)
        await decline(await dial.socket(), case.uuid)
        second = await dial.socket()
        await second.greet()
        await complete(second, case.uuid)

    assert await statuses(case.uuid) == EVERY_STATUS
    assert await in_database(Attempt.objects.values("miner_hotkey").distinct().count)() == 2


async def test_statuses_that_an_earlier_miner_reached_are_not_said_again(
    dispatcher_in: DispatcherIn, serve: Serve, take: Take, dial: MemoryDial
) -> None:
    await serve("one", "two")
    case = await take()

    async with asyncio.TaskGroup() as group:
        dispatcher_in(group).start(case.uuid, case)
        first = await dial.socket()
        await first.greet()
        await first.say(Phase.RESERVATION, Phase.READINESS, uuid=case.uuid)
        await first.link.expect(StartJob, within=5)
        await first.link.send(
            HordeFailed(
                job_uuid=case.uuid, reported_by="executor", reason="generic_error", message=""
            )
        )
        second = await dial.socket()
        await second.greet()
        await complete(second, case.uuid)

    assert await statuses(case.uuid) == EVERY_STATUS


async def test_when_all_decline_the_last_refusal_counts(
    dispatcher_in: DispatcherIn, serve: Serve, take: Take, dial: MemoryDial
) -> None:
    await serve("one", "two")
    case = await take()

    async with asyncio.TaskGroup() as group:
        dispatcher_in(group).start(case.uuid, case)
        await decline(await dial.socket(), case.uuid)
        await decline(await dial.socket(), case.uuid)

    assert (await rejection(case.uuid)).reason == "busy"


async def test_a_job_is_tried_on_a_few_miners_only(
    dispatcher_in: DispatcherIn, serve: Serve, take: Take, net: Subnet
) -> None:
    net.down = {f"host{number}" for number in range(MOST_TRIES + 2)}
    await serve(*net.down)
    case = await take()

    async with asyncio.TaskGroup() as group:
        dispatcher_in(group).start(case.uuid, case)

    failure = await horde_failure(case.uuid)
    assert failure.reason == HordeFailureReason.MINER_CONNECTION_FAILED
    assert await in_database(Attempt.objects.count)() == MOST_TRIES


async def test_a_job_that_has_started_is_not_started_elsewhere(
    dispatcher_in: DispatcherIn, serve: Serve, take: Take, dial: MemoryDial
) -> None:
    await serve("one", "two")
    case = await take()

    async with asyncio.TaskGroup() as group:
        dispatcher_in(group).start(case.uuid, case)
        miner = await dial.socket()
        await miner.greet()
        await miner.say(Phase.RESERVATION, Phase.READINESS, Phase.VOLUMES, uuid=case.uuid)
        await miner.link.send(
            HordeFailed(
                job_uuid=case.uuid, reported_by="miner", reason="executor_disconnected", message=""
            )
        )
        await miner.farewell()

    assert (await statuses(case.uuid))[-1] == JobStatus.HORDE_FAILED
    assert await in_database(Attempt.objects.count)() == 1


async def test_what_the_author_did_wrong_is_not_tried_elsewhere(
    dispatcher_in: DispatcherIn, serve: Serve, take: Take, dial: MemoryDial
) -> None:
    await serve("one", "two")
    case = await take()
    wrong = JobFailure(reason="download_failed", stage="volume_download", message="404")

    async with asyncio.TaskGroup() as group:
        dispatcher_in(group).start(case.uuid, case)
        miner = await dial.socket()
        await miner.greet()
        await miner.link.send(JobFailedReport.of(case.uuid, wrong))
        await miner.farewell()

    last = (await said(case.uuid))[-1]
    assert last.metadata == StatusMetadata(job_failure_details=wrong)


async def test_without_a_miner_a_job_is_rejected_with_the_reasons(
    dispatcher_in: DispatcherIn, serve: Serve, take: Take
) -> None:
    await serve("one", offering=0)
    case = await take()

    async with asyncio.TaskGroup() as group:
        dispatcher_in(group).start(case.uuid, case)

    details = await rejection(case.uuid)
    assert details.reason == "no_miner_for_job"
    assert details.context is not None
    assert details.context["passed_over"] == {"hot-one": "offers no executor of this class"}


async def test_a_job_waits_for_an_executor_that_we_keep_busy(
    dispatcher_in: DispatcherIn, serve: Serve, take: Take, dial: MemoryDial
) -> None:
    await serve("one")
    first, second = await take(), await take()

    async with asyncio.TaskGroup() as group:
        dispatcher = dispatcher_in(group)
        dispatcher.start(first.uuid, first)
        miner = await dial.socket()
        dispatcher.start(second.uuid, second)
        await until_one_waits(dispatcher)
        await miner.greet()
        await complete(miner, first.uuid)
        freed = await dial.socket()
        await freed.greet()
        await complete(freed, second.uuid)

    assert (await statuses(second.uuid))[-1] == JobStatus.COMPLETED


async def test_an_error_nobody_thought_of_ends_its_job_only(
    dispatcher_in: DispatcherIn, serve: Serve, take: Take, net: Subnet, dial: MemoryDial
) -> None:
    await serve("one")
    net.cursed = {"one"}
    cursed = await take()

    async with asyncio.TaskGroup() as group:
        dispatcher_in(group).start(cursed.uuid, cursed)

    details = await horde_failure(cursed.uuid)
    assert (details.reason, details.context) == (
        HordeFailureReason.UNHANDLED_EXCEPTION,
        {"exception_type": "RuntimeError"},
    )


@pytest.mark.parametrize("phase", list(Phase))
async def test_a_restart_in_any_phase_goes_on_with_the_job(
    dispatcher_in: DispatcherIn, serve: Serve, take: Take, dial: MemoryDial, phase: Phase
) -> None:
    await serve("one")
    case = await take()

    async def until_killed() -> None:
        async with asyncio.TaskGroup() as group:
            dispatcher_in(group).start(case.uuid, case)
            miner = await dial.socket()
            await miner.greet()
            await miner.say_until(phase, uuid=case.uuid)
            raise asyncio.CancelledError

    await begin_and_stop(until_killed)
    async with asyncio.TaskGroup() as group:
        await dispatcher_in(group).resume()
        miner = await dial.socket()
        await miner.greet()
        await complete(miner, case.uuid)

    assert await statuses(case.uuid) == EVERY_STATUS


async def test_a_job_that_was_never_routed_is_routed_after_a_restart(
    dispatcher_in: DispatcherIn, serve: Serve, take: Take, dial: MemoryDial
) -> None:
    await serve("one")
    case = await take()

    async with asyncio.TaskGroup() as group:
        await dispatcher_in(group).resume()
        miner = await dial.socket()
        await miner.greet()
        await complete(miner, case.uuid)

    assert await statuses(case.uuid) == EVERY_STATUS


async def test_a_job_that_ended_is_not_driven_again(
    dispatcher_in: DispatcherIn, serve: Serve, take: Take, dial: MemoryDial
) -> None:
    await serve("one")
    case = await take()
    await in_database(jobs.move)(case.uuid, JobStatus.COMPLETED, NeverWaits().now())

    async with asyncio.TaskGroup() as group:
        dispatcher_in(group).start(case.uuid)

    assert dial.tries == 0

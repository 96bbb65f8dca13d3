import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import datetime

import pytest
from typing_extensions import override

from compute_horde_common.chain.interface import Address, Metagraph, Neuron
from compute_horde_common.clock import SystemClock
from compute_horde_common.contrib.django import outbox
from compute_horde_common.contrib.django.db import in_database
from compute_horde_common.jobs.failures import (
    HordeFailure,
    HordeFailureReason,
    JobFailure,
    Rejection,
)
from compute_horde_common.jobs.lifecycle import PROGRESS, JobStatus
from compute_horde_common.links.websocket import DialFailed
from compute_horde_common.protocol.facilitator_validator import StatusMetadata, StatusUpdate
from compute_horde_common.protocol.validator_miner import (
    DeclineJob,
    HordeFailed,
    JobFailedReport,
    StartJob,
)
from tests.links.scripted import MemoryDial, ScriptedMiner
from tests.samples import MakeRequest
from validator.domain.assignments import JobCase, Terms
from validator.domain.phases import Phase
from validator.links.dispatch import MOST_TRIES, Dispatcher
from validator.links.miner import MinerLink
from validator.links.office import Office
from validator.models import Attempt
from validator.services import jobs, subnet

pytestmark = pytest.mark.django_db(transaction=True)
DispatcherIn = Callable[[asyncio.TaskGroup], Dispatcher]
Serve = Callable[..., Awaitable[None]]
Take = Callable[[], Awaitable[JobCase]]
EVERY_STATUS = [JobStatus.RECEIVED, *PROGRESS[2:], JobStatus.COMPLETED]


class NeverWaits(SystemClock):
    """Pauses take no time; limits do."""

    @override
    async def sleep_until(self, when: datetime) -> None:
        await asyncio.sleep(0)


class Subnet:
    """Miners that are reached by host. ``down`` ones refuse, ``cursed`` ones break the driver."""

    def __init__(self, dial: MemoryDial) -> None:
        self.dial = dial
        self.down: set[str] = set()
        self.cursed: set[str] = set()

    @asynccontextmanager
    async def __call__(
        self, host: str, _port: int, job_uuid: str, within: float
    ) -> AsyncIterator[MinerLink]:
        if host in self.cursed:
            raise RuntimeError("nobody thought of this")
        if host in self.down:
            raise DialFailed(host, "refused")
        async with self.dial.to(job_uuid, within) as link:
            yield link


@pytest.fixture
def office(office: Office) -> Office:
    return Office(office.signer, office.public_key, office.verify, NeverWaits())


@pytest.fixture
def net(dial: MemoryDial) -> Subnet:
    return Subnet(dial)


@pytest.fixture
def dispatcher_in(office: Office, terms: Terms, net: Subnet) -> DispatcherIn:
    return lambda group: Dispatcher(group, office=office, terms=terms, dial=net)


@pytest.fixture
def serve(office: Office) -> Serve:
    """Puts miners with one executor each on the chain."""

    def on_chain(*hosts: str, offering: int = 1) -> None:
        now = office.clock.now()
        neurons = tuple(
            Neuron(uid, f"hot-{host}", "cold", 0.0, Address(host, 80), False, 0)
            for uid, host in enumerate(hosts)
        )
        subnet.store_metagraph(Metagraph(12, 1, "0x", neurons), now)
        for host in hosts:
            subnet.store_manifest(f"hot-{host}", {"always_on.test": offering}, now)

    return in_database(on_chain)


@pytest.fixture
def take(make_request: MakeRequest, office: Office) -> Take:
    """Takes the next job of a user of ours; it streams, so it goes through every phase."""
    numbers = iter(range(100))

    async def next_job() -> JobCase:
        request = make_request(
            office.signer, timestamp_ns=next(numbers), streaming_details={"public_key": "pem"}
        )
        take = in_database(jobs.take)
        case = await take(
            request, own=office.signer.ss58, verify=office.verify, at=office.clock.now()
        )
        assert case is not None
        return case

    return next_job


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


async def said(job_uuid: str) -> list[StatusUpdate]:
    rows = await in_database(outbox.pending)(jobs.FACILITATOR)
    updates = [StatusUpdate.model_validate_json(row.body) for row in rows]
    return [update for update in updates if update.uuid == job_uuid]


async def statuses(job_uuid: str) -> list[JobStatus]:
    return [update.status for update in await said(job_uuid)]


async def complete(miner: ScriptedMiner, job_uuid: str) -> None:
    await miner.say(*Phase, uuid=job_uuid)
    await miner.farewell()


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
        await miner.greet()
        dispatcher.start(second.uuid, second)
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


async def begin_and_stop(group_work: Callable[[], Coroutine[None, None, None]]) -> None:
    """Runs a task group and cancels it, as a stop of the process does."""
    task = asyncio.create_task(group_work())
    await asyncio.wait({task}, timeout=5)
    with pytest.raises(asyncio.CancelledError):
        await task


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

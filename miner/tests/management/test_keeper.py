import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from typing_extensions import override

from compute_horde_common.chain.keys import Hotkey
from compute_horde_common.clock import HandWoundClock
from compute_horde_common.contrib.django.db import in_database
from compute_horde_common.jobs.failures import HordeFailureReason
from compute_horde_common.protocol.base import encode
from miner.domain.slots import ExecutorState
from miner.fleet.interface import ExecutorManager, FleetError, Running
from miner.management.keeper import Keeper
from miner.models import Executor, Job, Slot
from miner.services import executors, hosts, jobs
from tests import examples, fleet_of_rows

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass
class ListKeeping(ExecutorManager):
    """Executors that only stand on a list."""

    running: dict[str, str] = field(default_factory=dict)
    cleaned: list[str] = field(default_factory=list)
    swept: list[frozenset[str]] = field(default_factory=list)

    @override
    async def start(self, token: str, executor_class: str, env: Mapping[str, str]) -> str:
        self.running[f"handle of {token}"] = token
        return f"handle of {token}"

    @override
    async def stop(self, handle: str) -> None:
        self.running.pop(handle, None)

    @override
    async def alive(self, handle: str) -> bool:
        return handle in self.running

    @override
    async def owned(self) -> list[Running]:
        return [Running(handle, token) for handle, token in self.running.items()]

    @override
    async def public_address(self, handle: str) -> str | None:
        return "192.0.2.1"

    @override
    async def cleanup(self, token: str) -> None:
        self.cleaned.append(token)

    @override
    async def sweep(self, tokens: frozenset[str]) -> int:
        self.swept.append(tokens)
        return 0

    @override
    def watch(self, ended: Callable[[], None]) -> None:
        pass


class NeverStarts(ListKeeping):
    """No executor can be started."""

    @override
    async def start(self, token: str, executor_class: str, env: Mapping[str, str]) -> str:
        raise FleetError("no room on the host")


def keeper_of(manager: ExecutorManager, clock: HandWoundClock) -> Keeper:
    return Keeper(manager, "list", clock, warm_starts=1)


async def look(keeper: Keeper) -> None:
    async with asyncio.TaskGroup() as tasks:
        await keeper.look(tasks)


async def offered(validator: Hotkey, at: datetime) -> None:
    offer = examples.offer(validator, at)
    await in_database(jobs.take)(
        offer, encode(offer), validator=validator.ss58, socket="socket", at=at
    )


async def job() -> Job:
    return await in_database(Job.objects.get)()


async def executor() -> Executor:
    return await in_database(Executor.objects.get)()


async def free_slots() -> int:
    return await in_database(Slot.objects.filter(lease=None).count)()


async def test_idle_executors_are_started_one_after_the_other(
    hand_wound_clock: HandWoundClock,
) -> None:
    await in_database(fleet_of_rows.slots)(2)
    manager = ListKeeping()
    keeper = keeper_of(manager, hand_wound_clock)

    await look(keeper)
    await look(keeper)
    assert len(manager.running) == 1
    await in_database(executors.connect)((await executor()).token, hand_wound_clock.now())
    await look(keeper)

    assert len(manager.running) == 2


async def test_a_lease_gets_an_executor_whose_handle_and_address_are_known(
    hand_wound_clock: HandWoundClock, alice: Hotkey, at: datetime
) -> None:
    await in_database(fleet_of_rows.slots)()
    await offered(alice, at)
    manager = ListKeeping()

    await look(keeper_of(manager, hand_wound_clock))

    found = await executor()
    assert (found.handle in manager.running, found.address) == (True, "192.0.2.1")
    assert found.job_id == (await job()).id


async def test_a_fleet_that_cannot_start_fails_the_job_and_frees_the_slot(
    hand_wound_clock: HandWoundClock, alice: Hotkey, at: datetime
) -> None:
    await in_database(fleet_of_rows.slots)()
    await offered(alice, at)

    await look(keeper_of(NeverStarts(), hand_wound_clock))

    assert HordeFailureReason.EXECUTOR_SPINUP_FAILED in (await job()).outcome
    assert await free_slots() == 1


async def test_what_does_not_come_up_is_tried_more_and_more_rarely(
    hand_wound_clock: HandWoundClock,
) -> None:
    await in_database(fleet_of_rows.slots)()
    keeper = keeper_of(NeverStarts(), hand_wound_clock)
    await look(keeper)
    await look(keeper)
    assert await in_database(Executor.objects.count)() == 1

    await hand_wound_clock.advance(1)
    await look(keeper)

    assert await in_database(Executor.objects.count)() == 2


async def test_an_executor_that_was_killed_is_cleaned_up_after(
    hand_wound_clock: HandWoundClock, alice: Hotkey, at: datetime
) -> None:
    await in_database(fleet_of_rows.slots)()
    await offered(alice, at)
    manager = ListKeeping()
    keeper = keeper_of(manager, hand_wound_clock)
    await look(keeper)
    token = (await executor()).token
    await in_database(executors.connect)(token, hand_wound_clock.now())

    manager.running.clear()
    await look(keeper)
    await hand_wound_clock.advance(executors.UNHEARD_SECONDS)
    await look(keeper)

    assert set(manager.cleaned) == {token}
    assert HordeFailureReason.EXECUTOR_DISCONNECTED in (await job()).outcome
    assert await free_slots() == 1


async def test_an_executor_that_does_not_connect_in_time_is_stopped(
    hand_wound_clock: HandWoundClock,
) -> None:
    await in_database(fleet_of_rows.slots)()
    manager = ListKeeping()
    keeper = keeper_of(manager, hand_wound_clock)
    await look(keeper)

    await hand_wound_clock.advance(8)
    await look(keeper)

    assert manager.running == {}
    assert (await executor()).state == ExecutorState.GONE


async def test_an_unfit_host_is_left_alone_for_a_minute_and_offered_again_once_it_is_fit(
    hand_wound_clock: HandWoundClock,
) -> None:
    await in_database(fleet_of_rows.slots)()
    manager = ListKeeping()
    keeper = keeper_of(manager, hand_wound_clock)
    await look(keeper)
    await complain(manager, hand_wound_clock)
    for _ in range(3):
        await hand_wound_clock.advance(15)
        await look(keeper)
    assert manager.running == {}

    await hand_wound_clock.advance(15)
    await look(keeper)
    (token,) = manager.running.values()
    await in_database(executors.connect)(token, hand_wound_clock.now())
    await hand_wound_clock.advance(5)
    await look(keeper)

    assert (await in_database(Slot.objects.get)()).unfit == ""


async def complain(manager: ListKeeping, clock: HandWoundClock) -> None:
    """The only executor connects, finds its host unfit, and ends."""
    (token,) = manager.running.values()
    await in_database(executors.connect)(token, clock.now())
    assert await in_database(hosts.note_unfit)(token, ["no disk"], clock.now()) is None
    await in_database(executors.disconnect)(token, clock.now())
    manager.running.clear()


async def test_an_executor_whose_job_was_cancelled_is_no_reason_to_start_fewer(
    hand_wound_clock: HandWoundClock, alice: Hotkey, at: datetime
) -> None:
    await in_database(fleet_of_rows.slots)()
    await offered(alice, at)
    manager = ListKeeping()
    keeper = keeper_of(manager, hand_wound_clock)
    await look(keeper)
    cancelled = str((await job()).job_uuid)

    await in_database(jobs.cancel)(cancelled, validator=alice.ss58, at=at)
    await look(keeper)
    assert (manager.running, await free_slots()) == ({}, 1)
    await look(keeper)

    assert len(manager.running) == 1


async def test_an_executor_that_does_not_report_a_cancellation_is_killed_and_cleaned_up_after(
    hand_wound_clock: HandWoundClock, alice: Hotkey, at: datetime
) -> None:
    await in_database(fleet_of_rows.slots)()
    await offered(alice, at)
    manager = ListKeeping()
    keeper = keeper_of(manager, hand_wound_clock)
    await look(keeper)
    token = (await executor()).token
    await in_database(executors.connect)(token, at, job_control=True)
    cancelled = str((await job()).job_uuid)
    await in_database(jobs.cancel)(cancelled, validator=alice.ss58, at=at)

    await hand_wound_clock.advance(11)
    await look(keeper)
    assert list(manager.running.values()) == [token]
    await hand_wound_clock.advance(1)
    await look(keeper)

    assert (manager.running, manager.cleaned) == ({}, [token])
    assert (await job()).outcome == "cancelled: The job was cancelled by its author."
    assert await free_slots() == 1


async def test_another_keeper_takes_running_executors_over(
    hand_wound_clock: HandWoundClock,
) -> None:
    await in_database(fleet_of_rows.slots)()
    manager = ListKeeping()
    await look(keeper_of(manager, hand_wound_clock))
    await in_database(executors.note_handle)((await executor()).token, "", None)
    manager.running["stray"] = "token of nobody"

    another = keeper_of(manager, hand_wound_clock)
    await another.adopt()
    await look(another)

    assert list(manager.running) == [(await executor()).handle]


async def test_stopping_leaves_running_jobs_alone_unless_told_otherwise(
    hand_wound_clock: HandWoundClock, alice: Hotkey, at: datetime
) -> None:
    await in_database(fleet_of_rows.slots)(2)
    await offered(alice, at)
    manager = ListKeeping()
    keeper = keeper_of(manager, hand_wound_clock)
    await look(keeper)
    assert len(manager.running) == 2

    await keeper.stop(everything=False)
    left = len(manager.running)
    await keeper.stop(everything=True)

    assert (left, len(manager.running)) == (1, 0)


async def test_stopping_clears_away_what_has_just_ended(
    hand_wound_clock: HandWoundClock, alice: Hotkey, at: datetime
) -> None:
    await in_database(fleet_of_rows.slots)()
    await offered(alice, at)
    manager = ListKeeping()
    keeper = keeper_of(manager, hand_wound_clock)
    await look(keeper)
    token = (await executor()).token
    manager.running.clear()

    await keeper.stop(everything=False)

    assert manager.cleaned == [token]


async def test_leftovers_are_swept_now_and_then(hand_wound_clock: HandWoundClock) -> None:
    manager = ListKeeping()
    keeper = keeper_of(manager, hand_wound_clock)
    await look(keeper)
    await look(keeper)
    assert len(manager.swept) == 1

    await hand_wound_clock.advance(timedelta(minutes=1).total_seconds())
    await look(keeper)

    assert len(manager.swept) == 2


async def test_a_keeper_ends_when_it_is_told(hand_wound_clock: HandWoundClock) -> None:
    await in_database(fleet_of_rows.slots)()
    manager = ListKeeping()
    stop = asyncio.Event()
    keeping = asyncio.create_task(keeper_of(manager, hand_wound_clock).keep(stop))

    stop.set()

    async with asyncio.timeout(5):
        await keeping

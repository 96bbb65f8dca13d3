"""The one owner of all executors: starts those that are needed, stops those that are not, notices
those that are gone. What it knows is in the database, so another one can go on from there."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

import structlog
from django.db import DatabaseError
from psycopg_pool import PoolTimeout

from compute_horde_common.clock import Clock
from compute_horde_common.contrib.django.db import in_database
from compute_horde_common.contrib.django.mailbox import listening
from miner.domain.slots import (
    EndJob,
    ExecutorState,
    Measure,
    OfferAgain,
    ReleaseSlot,
    StartExecutor,
    StopExecutor,
)
from miner.fleet.interface import ExecutorManager, FleetError
from miner.services import executors, hosts, jobs
from miner.services.executors import Known
from miner.services.topics import FLEET
from miner.wiring import executor_environment, new_token

log = structlog.get_logger(__name__)

LOOK_SECONDS: Final = 1.0
"""How late a deadline or an end that nobody reported may be noticed."""
SWEEP_SECONDS: Final = 60
LONGEST_PAUSE: Final = 60


class Keeper:
    """Keeps a fleet.

    Args:
        manager: starts and stops executors.
        name: the manager's.
        clock: the time.
        warm_starts: how many executors may be starting that no job waits for.
    """

    def __init__(
        self, manager: ExecutorManager, name: str, clock: Clock, *, warm_starts: int
    ) -> None:
        self._manager = manager
        self._name = name
        self._clock = clock
        self._warm_starts = warm_starts
        self._busy: set[str] = set()
        self._failures: dict[str, int] = {}
        self._not_before: dict[str, datetime] = {}
        self._swept_at: datetime | None = None
        self._look_again: Callable[[], None] = _nothing

    async def keep(self, stop: asyncio.Event) -> None:
        """Looks after the fleet until ``stop`` is set."""
        async with listening(FLEET, clock=self._clock) as ear, asyncio.TaskGroup() as tasks:
            self._look_again = ear.ring
            self._manager.watch(ear.ring)
            tasks.create_task(_ring_when(stop, ear.ring))
            await self.adopt()
            while not stop.is_set():
                try:
                    await self.look(tasks)
                except (DatabaseError, PoolTimeout, FleetError) as error:
                    log.error("fleet cannot be looked after", error=str(error))  # noqa: TRY400
                await ear.wait(within=LOOK_SECONDS)

    async def adopt(self) -> None:
        """Takes over executors that run already; stops those that nobody knows."""
        known = {executor.token: executor for executor in await in_database(executors.known)()}
        for running in await self._manager.owned():
            executor = known.get(running.token)
            if executor is None:
                log.warning("executor belongs to nobody", handle=running.handle)
                await self._guarded(self._manager.stop(running.handle), "stop")
            elif executor.handle != running.handle:
                await in_database(executors.note_handle)(running.token, running.handle, None)
        log.info("fleet taken over", executors=len(known))

    async def look(self, tasks: asyncio.TaskGroup) -> None:
        """Does once what has to be done now; what takes long goes on in ``tasks``."""
        in_hand = frozenset(self._busy)  # before the rows are read: they lag behind what we do
        known = await in_database(executors.known)()
        await self._notice_ends(known, in_hand)
        self._forgive(known)
        now = self._clock.now()
        held_back = [name for name, until in self._not_before.items() if until > now]
        wanted = await in_database(executors.review)(
            now, warm_starts=self._warm_starts, held_back=held_back
        )
        for measure in wanted:
            await self._take(measure, tasks)
        await self._sweep(now)

    async def stop(self, *, everything: bool) -> None:
        """Stops idle executors, or all, and clears away those that have ended; those that run jobs
        are found again by `adopt`."""
        ending = [
            executor
            for executor in await in_database(executors.known)()
            if everything or not executor.has_job or not await self._runs(executor)
        ]
        await asyncio.gather(*(self._stop(executor) for executor in ending))
        log.info("fleet stopped", executors=len(ending))

    async def _notice_ends(self, known: list[Known], in_hand: frozenset[str]) -> None:
        for executor in known:
            if executor.token in in_hand | self._busy or await self._runs(executor):
                continue
            if executor.state is ExecutorState.STARTING:
                self._hold_back(executor.executor_class)
            await self._bury(executor.token)

    async def _runs(self, executor: Known) -> bool:
        # Without a handle, it was about to be started by a keeper that is no more.
        return bool(executor.handle) and await self._manager.alive(executor.handle)

    async def _take(self, measure: Measure, tasks: asyncio.TaskGroup) -> None:
        match measure:
            case EndJob():
                await in_database(jobs.end)(measure.job, measure.failure, self._clock.now())
            case ReleaseSlot():
                await in_database(executors.release)(measure.slot, measure.job)
                self._look_again()
            case OfferAgain():
                await in_database(hosts.offer_again)(measure.slot, measure.unfit_at)
            case StopExecutor():
                if measure.token not in self._busy:
                    self._busy.add(measure.token)
                    tasks.create_task(self._stop_token(measure.token))
            case StartExecutor():
                await self._begin(measure, tasks)

    async def _begin(self, measure: StartExecutor, tasks: asyncio.TaskGroup) -> None:
        token = new_token()
        self._busy.add(token)
        planned = await in_database(executors.plan_start)(
            measure, token=token, manager=self._name, at=self._clock.now()
        )
        if planned:
            tasks.create_task(self._start(measure, token))
        else:
            self._busy.discard(token)

    async def _start(self, measure: StartExecutor, token: str) -> None:
        env = executor_environment(token, measure.executor_class, measure.index)
        try:
            handle = await self._manager.start(token, measure.executor_class, env)
            address = await self._manager.public_address(handle)
        except FleetError as error:
            log.error("executor does not start", error=str(error))  # noqa: TRY400 - says it all
            self._hold_back(measure.executor_class)
            await self._bury(token)
        else:
            await in_database(executors.note_handle)(token, handle, address)
        finally:
            self._busy.discard(token)
        self._look_again()

    async def _stop_token(self, token: str) -> None:
        try:
            for executor in await in_database(executors.known)():
                if executor.token == token:
                    await self._stop(executor)
        finally:
            self._busy.discard(token)
        self._look_again()

    async def _stop(self, executor: Known) -> None:
        log.info("executor is stopped", executor_class=executor.executor_class)
        if executor.handle:
            await self._guarded(self._manager.stop(executor.handle), "stop")
        if not await self._runs(executor):
            if executor.state is ExecutorState.STARTING and self._is_late(executor):
                self._hold_back(executor.executor_class)
            await self._bury(executor.token)

    async def _bury(self, token: str) -> None:
        await self._guarded(self._manager.cleanup(token), "clean up")
        await in_database(executors.gone)(token, self._clock.now())

    async def _sweep(self, now: datetime) -> None:
        """Removes what executors left that were gone before anybody could clean up."""
        due = self._swept_at
        if due is not None and now < due + timedelta(seconds=SWEEP_SECONDS):
            return
        self._swept_at = now
        tokens = frozenset(executor.token for executor in await in_database(executors.known)())
        await self._guarded(self._manager.sweep(tokens), "sweep")

    def _is_late(self, executor: Known) -> bool:
        """Others are stopped because nobody wants them any more: that is not their fault."""
        return executor.deadline is not None and executor.deadline <= self._clock.now()

    def _hold_back(self, class_name: str) -> None:
        """A class whose executors do not come up is tried more and more rarely."""
        failures = self._failures[class_name] = self._failures.get(class_name, 0) + 1
        pause = min(LONGEST_PAUSE, 2 ** min(failures - 1, 10))
        self._not_before[class_name] = self._clock.now() + timedelta(seconds=pause)
        log.warning("executor did not come up", executor_class=class_name, pause_seconds=pause)

    def _forgive(self, known: list[Known]) -> None:
        for executor in known:
            if executor.state in {ExecutorState.WAITING, ExecutorState.ASSIGNED}:
                self._failures.pop(executor.executor_class, None)
                self._not_before.pop(executor.executor_class, None)

    async def _guarded(self, verb: Awaitable[object], what: str) -> None:
        try:
            await verb
        except FleetError as error:
            log.error("fleet manager failed", verb=what, error=str(error))  # noqa: TRY400


async def _ring_when(stop: asyncio.Event, ring: Callable[[], None]) -> None:
    await stop.wait()
    ring()


def _nothing() -> None:
    pass

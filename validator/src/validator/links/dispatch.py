"""Drives every job, each in a task of its own, whatever becomes of the facilitator's link.

A task holds nothing that its rows do not: when the process ends, the next one starts a task for
each job that has not ended and goes on.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Final

import structlog
from django.db import InterfaceError, OperationalError

from compute_horde_common.contrib.django.db import in_database
from compute_horde_common.jobs.failures import JobFailed, JobFailure
from validator.domain.assignments import Assignment, JobCase, Terms, no_miner, unhandled
from validator.domain.phases import cancelled
from validator.domain.routing import Choice
from validator.links.desk import StoredDesk
from validator.links.miner import Dial, MinerLink, run_job
from validator.links.newsroom import Newsroom
from validator.links.office import Office
from validator.services import attempts, jobs

MOST_TRIES: Final = 5
"""On how many miners a job is tried, at most."""

DialMiner = Callable[[str, int, str, float], AbstractAsyncContextManager[MinerLink]]
"""``dial(host, port, job_uuid, within)``: a link for one job; raises ``DialFailed``."""

log = structlog.get_logger(__name__)


class Dispatcher:
    """Every job of this validator that has not ended.

    Args:
        group: owns the jobs' tasks; cancelling it leaves the jobs to the next start.
        office: who we are.
        terms: the operator's terms.
        dial: opens a link to a miner.
        newsroom: gets what jobs write while they run.
    """

    def __init__(
        self,
        group: asyncio.TaskGroup,
        *,
        office: Office,
        terms: Terms,
        dial: DialMiner,
        newsroom: Newsroom,
    ) -> None:
        self._group = group
        self._office = office
        self._terms = terms
        self._dial = dial
        self._newsroom = newsroom
        self._cancelled: dict[str, asyncio.Event] = {}
        """For each job that is driven, whether its author has cancelled it."""
        self._freed = asyncio.Event()

    @property
    def running(self) -> int:
        """How many jobs are driven now."""
        return len(self._cancelled)

    async def resume(self) -> None:
        """Takes up every job that has not ended."""
        for job_uuid in await in_database(jobs.unfinished)():
            log.info("job taken up again", job=job_uuid)
            self.start(job_uuid)

    def start(self, job_uuid: str, case: JobCase | None = None) -> None:
        """Drives a job, unless it is driven already; ``case`` saves reading it."""
        if job_uuid in self._cancelled:
            return
        wish = self._cancelled[job_uuid] = asyncio.Event()
        task = self._group.create_task(self._drive(job_uuid, case, wish), name=f"job {job_uuid}")
        task.add_done_callback(lambda _: self._cancelled.pop(job_uuid, None))

    def cancel(self, job_uuid: str) -> None:
        """Ends a job whose row says that its author wants so; soon, not at once."""
        self.start(job_uuid)
        self._cancelled[job_uuid].set()
        self._free_slot()  # in case it is among those that wait for one

    async def _drive(self, job_uuid: str, case: JobCase | None, wish: asyncio.Event) -> None:
        structlog.contextvars.bind_contextvars(job=job_uuid)
        try:
            case = case or await in_database(jobs.case_of)(job_uuid)
            if case is not None:
                await self._run(case, wish)
        except JobFailed as failed:
            await self._settle(job_uuid, failed)
        except (OperationalError, InterfaceError) as error:
            # The database is away, the job is not over: the next round takes it up again.
            log.warning("job left to the next round", reason=str(error))
        except Exception as error:
            log.exception("job driver failed")
            await self._settle(job_uuid, JobFailed(unhandled(error)))
        finally:
            self._newsroom.ended(job_uuid)
            self._free_slot()

    async def _run(self, case: JobCase, wish: asyncio.Event) -> None:
        if case.cancelled:
            wish.set()
        job = await in_database(attempts.resume)(case, self._terms, self._office.clock.now())
        last: JobFailed | None = None
        while True:
            if job is None:
                job = await self._assign(case, last, wish)
            desk = StoredDesk(job, self._office, self._newsroom, wish)
            try:
                with structlog.contextvars.bound_contextvars(miner=job.miner_hotkey):
                    await run_job(job, self._dialler(job), desk)
            except JobFailed as failed:
                if isinstance(failed.failure, JobFailure):
                    raise
                if wish.is_set():
                    # What the network got wrong meanwhile is of no interest to the author.
                    raise JobFailed(cancelled(desk.phase)) from failed
                if desk.executing:
                    raise
                log.warning("miner did not take the job", reason=str(failed.failure.reason))
                last, job = failed, None
                self._free_slot()
            else:
                return

    async def _assign(
        self, case: JobCase, last: JobFailed | None, wish: asyncio.Event
    ) -> Assignment:
        """The next miner for a job; when there is none, the last one's failure counts."""
        if last is not None and await in_database(attempts.tries)(case.uuid) >= MOST_TRIES:
            raise last
        clock = self._office.clock
        give_up_at = clock.now() + timedelta(seconds=self._terms.routing)
        while True:
            if wish.is_set():
                raise JobFailed(cancelled(None))
            freed = self._freed
            assign = in_database(attempts.assign)
            found = await assign(case, self._terms, self._office.signer, clock.now())
            if isinstance(found, Assignment):
                return found
            left = (give_up_at - clock.now()).total_seconds()
            if not found.may_free_up or left <= 0:
                raise last or _no_miner(found, case)
            try:
                async with clock.timeout(left):
                    await freed.wait()
            except TimeoutError:
                raise last or _no_miner(found, case) from None

    def _dialler(self, job: Assignment) -> Dial:
        return lambda within: self._dial(job.host, job.port, job.case.uuid, within)

    def _free_slot(self) -> None:
        freed, self._freed = self._freed, asyncio.Event()
        freed.set()

    async def _settle(self, job_uuid: str, failed: JobFailed) -> None:
        """A database that is away must not end the other jobs; the next start settles this one."""
        try:
            settle = in_database(jobs.settle)
            await settle(job_uuid, failed.failure, self._office.clock.now())
        except Exception:
            log.exception("job could not be settled")


def _no_miner(choice: Choice, case: JobCase) -> JobFailed:
    return JobFailed(no_miner(choice, case.spec.executor_class))

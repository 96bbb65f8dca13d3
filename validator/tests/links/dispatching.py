"""What tests of the dispatcher share: a subnet of scripted miners, and what is to be said."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import datetime

import pytest
from typing_extensions import override

from compute_horde_common.clock import SystemClock
from compute_horde_common.contrib.django import outbox
from compute_horde_common.contrib.django.db import in_database
from compute_horde_common.jobs.lifecycle import PROGRESS, JobStatus
from compute_horde_common.links.websocket import DialFailed
from compute_horde_common.protocol.facilitator_validator import StatusUpdate
from tests.links.scripted import PATIENCE, MemoryDial, ScriptedMiner
from validator.domain.assignments import JobCase
from validator.domain.phases import Phase
from validator.links.dispatch import Dispatcher
from validator.links.miner import MinerLink
from validator.services import jobs

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


async def said(job_uuid: str) -> list[StatusUpdate]:
    """What is to be said about a job."""
    rows = await in_database(outbox.pending)(jobs.FACILITATOR)
    updates = [StatusUpdate.model_validate_json(row.body) for row in rows]
    return [update for update in updates if update.uuid == job_uuid]


async def statuses(job_uuid: str) -> list[JobStatus]:
    """Which statuses of a job are to be said."""
    return [update.status for update in await said(job_uuid)]


async def complete(miner: ScriptedMiner, job_uuid: str) -> None:
    """All goes well from here."""
    await miner.say(*Phase, uuid=job_uuid)
    await miner.farewell()


async def begin_and_stop(group_work: Callable[[], Coroutine[None, None, None]]) -> None:
    """Runs a task group and cancels it, as a stop of the process does."""
    task = asyncio.create_task(group_work())
    await asyncio.wait({task}, timeout=5)
    with pytest.raises(asyncio.CancelledError):
        await task


async def until_one_waits(dispatcher: Dispatcher) -> None:
    """Returns once a job waits for one of ours to end."""
    async with asyncio.timeout(PATIENCE):
        while not dispatcher._freed._waiters:  # noqa: ASYNC110 - nothing else tells
            await asyncio.sleep(0)

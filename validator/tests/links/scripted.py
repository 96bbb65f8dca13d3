"""Both ends of a conversation with a miner: ours, over memory pipes, and a miner that a test
speaks for."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from typing_extensions import override

from compute_horde_common.clock import Clock, SystemClock
from compute_horde_common.jobs.failures import Failure, JobFailed
from compute_horde_common.jobs.lifecycle import JobStatus
from compute_horde_common.links.link import Link
from compute_horde_common.links.memory import pipe_pair
from compute_horde_common.links.websocket import DialFailed
from compute_horde_common.protocol.base import Codec
from compute_horde_common.protocol.facilitator_validator import StatusMetadata
from compute_horde_common.protocol.live import JobLog, JobProgress
from compute_horde_common.protocol.validator_miner import (
    AcceptedReceipt,
    AcceptJob,
    Authenticate,
    ExecutionDone,
    ExecutorReady,
    FinishedReceipt,
    JobFinished,
    Manifest,
    MinerToValidator,
    OfferJob,
    StartJob,
    StreamingReady,
    ValidatorToMiner,
    VolumesReady,
)
from validator.domain.assignments import WORTHLESS, Assignment
from validator.domain.phases import Phase, Progress
from validator.links.dialling import MINER_CODEC, complaint, concerns
from validator.links.miner import JobDesk, MinerLink, run_job
from validator.links.office import Office
from validator.services import attempts, receipts

UUID_TEXT = str(UUID(int=7))
PATIENCE = 5.0
VALIDATOR_CODEC = Codec[ValidatorToMiner](ValidatorToMiner)
Say = Callable[[str], MinerToValidator]
PassTime = Callable[["asyncio.Task[None]"], Awaitable[None]]
WORDS: dict[Phase, Say] = {
    Phase.RESERVATION: lambda uuid: AcceptJob(job_uuid=uuid),
    Phase.READINESS: lambda uuid: ExecutorReady(job_uuid=uuid),
    Phase.VOLUMES: lambda uuid: VolumesReady(job_uuid=uuid),
    Phase.STREAMING: lambda uuid: StreamingReady(
        job_uuid=uuid, public_key="pem", ip="192.0.2.9", port=6006
    ),
    Phase.EXECUTION: lambda uuid: ExecutionDone(job_uuid=uuid),
    Phase.FINAL: lambda uuid: JobFinished(
        job_uuid=uuid, docker_process_stdout="hello\0", docker_process_stderr=""
    ),
}


class ScriptedMiner:
    """A miner's end of one socket. The test says what it says."""

    def __init__(self, link: "Link[ValidatorToMiner, MinerToValidator]") -> None:
        self.link = link
        self.offer: OfferJob | None = None

    async def greet(self) -> OfferJob:
        """Hears authentication and offer, says the manifest."""
        await self.link.expect(Authenticate, within=PATIENCE)
        await self.link.send(Manifest(manifest={"always_on.test": 2}))
        self.offer = await self.link.expect(OfferJob, within=PATIENCE)
        return self.offer

    async def say(self, *phases: Phase, uuid: str = UUID_TEXT) -> None:
        """Says what ends each of these phases."""
        for phase in phases:
            await self.link.send(WORDS[phase](uuid))

    async def say_until(self, phase: Phase, uuid: str = UUID_TEXT) -> None:
        """Brings a job that streams to where it waits for ``phase``, as a miner does."""
        for earlier in list(Phase)[: list(Phase).index(phase)]:
            await self.say(earlier, uuid=uuid)
            if earlier is Phase.RESERVATION:
                await self.link.expect(AcceptedReceipt, within=PATIENCE)
            if earlier is Phase.READINESS:
                await self.link.expect(StartJob, within=PATIENCE)

    async def farewell(self) -> FinishedReceipt:
        """The finished receipt."""
        return await self.link.expect(FinishedReceipt, within=PATIENCE)


Redial = Callable[[], Awaitable[ScriptedMiner]]


class MemoryDial:
    """Opens links to scripted miners. ``broken`` refuses all further ones; ``subprotocol`` is
    what they choose."""

    def __init__(self, clock: Clock) -> None:
        self.broken = False
        self.subprotocol: str | None = None
        self.tries = 0
        self._clock = clock
        self._sockets: asyncio.Queue[ScriptedMiner] = asyncio.Queue()

    def __call__(self, within: float) -> AbstractAsyncContextManager[MinerLink]:
        """A link for the job of most tests."""
        return self.to(UUID_TEXT, within)

    @asynccontextmanager
    async def to(self, job_uuid: str, _within: float) -> AsyncIterator[MinerLink]:
        """A link for any job; ``within`` is of no use here."""
        self.tries += 1
        if self.broken:
            raise DialFailed("ws://miner", "refused")
        ours, theirs = pipe_pair()
        miner: Link[ValidatorToMiner, MinerToValidator] = Link(
            theirs, VALIDATOR_CODEC, clock=SystemClock()
        )
        self._sockets.put_nowait(ScriptedMiner(miner))
        try:
            yield Link(
                ours,
                MINER_CODEC,
                clock=self._clock,
                complain=complaint,
                relevant=lambda message: concerns(message, job_uuid),
                subprotocol=self.subprotocol,
            )
        finally:
            await ours.close()

    @property
    def unanswered(self) -> int:
        """How many sockets were opened that no test has asked for."""
        return self._sockets.qsize()

    async def socket(self) -> ScriptedMiner:
        """The miner's end of the next socket that is opened."""
        async with asyncio.timeout(PATIENCE):
            return await self._sockets.get()


@dataclass
class ListDesk(JobDesk):
    """Keeps what it is told in lists."""

    job: Assignment
    office: Office
    statuses: list[JobStatus] = field(default_factory=list)
    metadata: list[StatusMetadata | None] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    abandoned: list[Failure] = field(default_factory=list)
    manifests: list[Manifest] = field(default_factory=list)
    progress: list[Progress] = field(default_factory=list)
    news: list[JobLog | JobProgress] = field(default_factory=list)
    wish: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    farewells: int = 0

    @property
    @override
    def clock(self) -> Clock:
        return self.office.clock

    @property
    @override
    def cancelled(self) -> asyncio.Event:
        return self.wish

    @override
    def authenticate(self) -> Authenticate:
        return self.office.authentication(self.job.miner_hotkey)

    @override
    def accepted(self) -> AcceptedReceipt:
        return receipts.accepted(self.job, self.office.signer, self.clock.now())

    @override
    def sign(self, start: StartJob) -> StartJob:
        return attempts.signed_start(start, self.office.signer)

    @override
    async def saw(self, manifest: Manifest) -> None:
        self.manifests.append(manifest)

    @override
    def relay(self, news: JobLog | JobProgress) -> None:
        self.news.append(news)

    @override
    async def record(
        self, status: JobStatus, progress: Progress, metadata: StatusMetadata | None = None
    ) -> None:
        self.statuses.append(status)
        self.metadata.append(metadata)
        self.progress.append(progress)
        self.changed.set()

    async def waits_for(self, phase: Phase) -> None:
        """Returns once the job waits for what ends a phase."""
        async with asyncio.timeout(PATIENCE):
            while phase not in {Phase.RESERVATION, *(each.phase for each in self.progress)}:
                self.changed.clear()
                await self.changed.wait()

    @override
    async def complete(self, result: StatusMetadata) -> FinishedReceipt:
        self.statuses.append(JobStatus.COMPLETED)
        self.metadata.append(result)
        return receipts.finished(self.job, self.office.signer, self.clock.now(), self.job.score)

    @override
    async def give_up(self, failure: Failure) -> FinishedReceipt:
        self.failures.append(failure)
        return receipts.finished(self.job, self.office.signer, self.clock.now(), WORTHLESS)

    @override
    async def said_farewell(self) -> None:
        self.farewells += 1

    @override
    async def abandon(self, failure: Failure) -> None:
        self.abandoned.append(failure)


@asynccontextmanager
async def running(
    job: Assignment, dial: MemoryDial, desk: ListDesk
) -> AsyncIterator["asyncio.Task[None]"]:
    """Our end of a job's conversation, for as long as the block lasts."""
    task = asyncio.create_task(run_job(job, dial, desk))
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, JobFailed):
            await task


async def ending(task: "asyncio.Task[None]") -> Failure:
    """How a job failed on its miner."""
    with pytest.raises(JobFailed) as caught:
        await asyncio.wait_for(task, PATIENCE)
    return caught.value.failure


async def outcome(task: "asyncio.Task[None]") -> str:
    """Why, in a word."""
    return str((await ending(task)).reason)

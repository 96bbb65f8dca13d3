"""The validator's side of its conversation with a miner: how a job is run.

A broken socket does not end a job. The same offer on a new socket makes the miner say again all
that it has said about the job; messages of phases that are over are passed by.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Final, Protocol

import structlog

from compute_horde_common.clock import Clock
from compute_horde_common.jobs.executor_classes import executor_class
from compute_horde_common.jobs.failures import Failure, JobFailed, JobFailure
from compute_horde_common.jobs.lifecycle import JobStatus
from compute_horde_common.jobs.timing import Deadline
from compute_horde_common.jobs.uploads import combined
from compute_horde_common.links.link import Link, LinkClosed, LinkTimeout, TooMuchRubbish
from compute_horde_common.links.websocket import DialFailed
from compute_horde_common.protocol.facilitator_validator import StatusMetadata
from compute_horde_common.protocol.live import JOB_CONTROL, JobLog, JobProgress
from compute_horde_common.protocol.validator_miner import (
    AcceptedReceipt,
    AcceptJob,
    Authenticate,
    ExecutionDone,
    ExecutorReady,
    FinishedReceipt,
    GenericError,
    JobFinished,
    MachineSpecs,
    MainHotkey,
    Manifest,
    MinerToValidator,
    StartJob,
    StreamingReady,
    ValidatorToMiner,
    VolumesReady,
)
from validator.domain.assignments import Assignment, result_of
from validator.domain.phases import (
    BEFORE_EXECUTION,
    REACHED,
    Phase,
    Progress,
    cancelled,
    timed_out,
)
from validator.domain.reports import ANSWERED, Answer, confused, metadata_of, reported, unreachable
from validator.links.cancelling import Cancelling

log = structlog.get_logger(__name__)

CONNECT_SECONDS: Final = 5.0
"""How long one try to connect may take."""
CONNECT_TRIES: Final = 3
FIRST_PAUSE: Final = 0.25
LONGEST_PAUSE: Final = 5.0

MinerLink = Link[MinerToValidator, ValidatorToMiner]
Dial = Callable[[float], AbstractAsyncContextManager[MinerLink]]
"""Opens a link to the job's miner within so many seconds; raises ``DialFailed``."""


class JobDesk(Protocol):
    """What the conversation needs of its validator; one desk for each job on a miner."""

    @property
    def clock(self) -> Clock:
        """The time."""
        ...

    @property
    def cancelled(self) -> asyncio.Event:
        """Set once the author of the job has cancelled it."""
        ...

    def authenticate(self) -> Authenticate:
        """Who we are, signed just now."""
        ...

    def accepted(self) -> AcceptedReceipt:
        """The receipt for the miner's acceptance, signed now. `record` keeps it."""
        ...

    def sign(self, start: StartJob) -> StartJob:
        """The job with our signature."""
        ...

    async def saw(self, manifest: Manifest) -> None:
        """Notes what the miner offers."""
        ...

    def relay(self, news: JobLog | JobProgress) -> None:
        """Passes on what the job writes while it runs."""
        ...

    async def record(
        self, status: JobStatus, progress: Progress, metadata: StatusMetadata | None = None
    ) -> None:
        """Stores that the job has come to a status, and what it waits for now."""
        ...

    async def complete(self, result: StatusMetadata) -> FinishedReceipt:
        """Stores that the job is completed; the receipt says what it is worth."""
        ...

    async def give_up(self, failure: Failure) -> FinishedReceipt:
        """Stores that this miner did not complete the job; the receipt is worth nothing."""
        ...

    async def said_farewell(self) -> None:
        """Notes that the finished receipt was sent."""
        ...

    async def abandon(self, failure: Failure) -> None:
        """Stores that this miner never got the offer; there is no receipt."""
        ...


async def run_job(job: Assignment, dial: Dial, desk: JobDesk) -> None:
    """One job on one miner, through broken sockets, until it is completed.

    Raises:
        JobFailed: it was not; whoever asked for the job decides what that means.
    """
    conversation = _JobOnMiner(job, desk)
    try:
        await _through_sockets(conversation, dial)
    except JobFailed as failed:
        await conversation.close(failed)
        raise


async def _through_sockets(conversation: "_JobOnMiner", dial: Dial) -> None:
    while True:
        conversation.stop_before_offer()
        try:
            async with dial(conversation.time_to_connect()) as link:
                await conversation.go_on(link)
                return
        except (DialFailed, LinkClosed) as broken:
            log.warning("miner link broken", phase=conversation.phase, reason=str(broken))
        await conversation.pause()


class _JobOnMiner:
    """What one run of `run_job` remembers between two sockets."""

    def __init__(self, job: Assignment, desk: JobDesk) -> None:
        self._job = job
        self._desk = desk
        self._progress = job.progress
        self._answers: dict[Phase, Answer] = {}
        self._cancelling = Cancelling(job.case.uuid, desk.cancelled, desk.clock)
        self._breaks = 0
        self._over = False

    @property
    def phase(self) -> str:
        """What the job waits for, in a word."""
        return self._progress.phase if self._progress else "connect"

    def stop_before_offer(self) -> None:
        """Passes unless the job was cancelled before its miner heard of it.

        Raises:
            JobFailed: it was.
        """
        if self._progress is None and self._cancelling.wanted:
            raise JobFailed(cancelled(None))

    def time_to_connect(self) -> float:
        """How long the next try to connect may take, in seconds."""
        if self._progress is None:
            return CONNECT_SECONDS
        return min(CONNECT_SECONDS, self._limit(self._progress).left(self._desk.clock.now()))

    async def pause(self) -> None:
        """Waits before the next socket.

        Raises:
            JobFailed: there is no time, or no try, left.
        """
        self._breaks += 1
        if self._progress is None and self._breaks >= CONNECT_TRIES:
            raise JobFailed(unreachable("the miner could not be reached"))
        now = self._desk.clock.now()
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self._breaks - 1, 10))
        wake = now + timedelta(seconds=pause)
        if self._progress is None:
            await self._desk.clock.sleep_until(wake)
            return
        await self._desk.clock.sleep_until(min(wake, self._limit(self._progress).at))
        if self._desk.clock.now() >= self._limit(self._progress).at:
            raise self._too_late(self._progress)

    async def go_on(self, link: MinerLink) -> None:
        """The job on one socket, from where it is, to its end.

        Raises:
            JobFailed: it ended other than well; the miner has its receipt.
            LinkClosed: the socket broke.
        """
        await link.send(self._desk.authenticate())
        await link.send(self._job.offer)
        progress = self._progress
        if progress is None:
            progress = self._progress = self._job.budget.start(self._desk.clock.now())
        if progress.phase is Phase.VOLUMES:
            # Whether the miner got the job before the socket broke, nobody knows.
            await self._send_start(link)
        try:
            receipt = await self._converse(link, progress)
        except JobFailed as failed:
            self._over = True
            receipt = await self._desk.give_up(failed.failure)
            await self._say_farewell(link, receipt)
            raise
        await self._say_farewell(link, receipt)

    async def close(self, failed: JobFailed) -> None:
        """Stores that the job failed on this miner, unless that is stored already."""
        if self._over:
            return
        if self._progress is None:
            await self._desk.abandon(failed.failure)
        else:
            await self._desk.give_up(failed.failure)

    async def _converse(self, link: MinerLink, progress: Progress) -> FinishedReceipt:
        while True:
            answer = await self._answer(link, progress)
            following = self._job.budget.after(progress, self._desk.clock.now())
            match answer:
                case AcceptJob():
                    await link.send(self._desk.accepted())
                case ExecutorReady():
                    await self._send_start(link)
                case JobFinished():
                    return await self._complete(answer)
                case _:
                    pass
            status = REACHED[progress.phase]
            await self._desk.record(status, following, metadata_of(answer))
            self._progress = progress = following
            self._breaks = 0

    async def _answer(self, link: MinerLink, progress: Progress) -> Answer:
        while (answer := self._answers.get(progress.phase)) is None:
            try:
                message = await self._cancelling.hear(link, progress)
            except LinkTimeout:
                raise self._too_late(progress) from None
            except TooMuchRubbish as rubbish:
                raise JobFailed(confused(str(rubbish))) from None
            await self._take(message, link, progress)
        return answer

    async def _take(self, message: MinerToValidator, link: MinerLink, progress: Progress) -> None:
        match message:
            case (
                AcceptJob()
                | ExecutorReady()
                | VolumesReady()
                | StreamingReady()
                | ExecutionDone()
                | JobFinished()
            ):
                self._answers.setdefault(ANSWERED[type(message)], message)
            case Manifest():
                await self._desk.saw(message)
            case JobLog() | JobProgress():
                self._relay(message, link, progress)
            case GenericError():
                log.warning("miner did not understand", details=(message.details or "")[:500])
            case MachineSpecs() | MainHotkey():
                log.debug("message passed by", kind=message.message_type)
            case _:
                raise JobFailed(reported(message, cancelled=self._cancelling.wanted))

    def _relay(self, news: JobLog | JobProgress, link: MinerLink, progress: Progress) -> None:
        if link.subprotocol != JOB_CONTROL:
            log.debug("message passed by", kind=news.message_type)
        elif isinstance(news, JobProgress) or progress.phase not in BEFORE_EXECUTION:
            # Before that, output may not be this job's only one: another miner may still take it.
            self._desk.relay(news)

    async def _complete(self, finished: JobFinished) -> FinishedReceipt:
        result = result_of(finished)
        if isinstance(result, JobFailure):
            raise JobFailed(result)
        self._over = True
        return await self._desk.complete(result)

    async def _say_farewell(self, link: MinerLink, receipt: FinishedReceipt) -> None:
        try:
            await link.send(receipt)
        except LinkClosed:
            log.info("finished receipt kept for later")
            return
        await self._desk.said_farewell()

    def _limit(self, progress: Progress) -> Deadline:
        return self._cancelling.limit(progress.deadline)

    def _too_late(self, progress: Progress) -> JobFailed:
        if self._cancelling.wanted:
            return JobFailed(cancelled(progress.phase))
        return JobFailed(timed_out(progress.phase))

    async def _send_start(self, link: MinerLink) -> None:
        if not self._cancelling.wanted:
            await link.send(self._start())

    def _start(self) -> StartJob:
        spec = self._job.case.spec
        promised = executor_class(spec.executor_class)
        return self._desk.sign(
            StartJob(
                job_uuid=self._job.case.uuid,
                executor_class=spec.executor_class,
                docker_image=spec.docker_image,
                docker_run_options_preset="nvidia_all" if promised.has_gpu else "none",
                docker_run_cmd=spec.args,
                env=spec.env,
                output_upload=combined(spec.uploads),
                artifacts_dir=spec.artifacts_dir or None,
            )
        )

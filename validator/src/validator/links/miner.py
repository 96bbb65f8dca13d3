"""The validator's side of its conversation with a miner: how a job is run.

A broken socket does not end a job. The same offer on a new socket makes the miner say again all
that it has said about the job; messages of phases that are over are passed by.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Final, Protocol

import structlog

from compute_horde_common.clock import Clock
from compute_horde_common.jobs.executor_classes import executor_class
from compute_horde_common.jobs.failures import (
    HordeFailure,
    HordeFailureReason,
    JobFailed,
    JobFailure,
    Participant,
    Rejection,
)
from compute_horde_common.jobs.lifecycle import JobStatus
from compute_horde_common.jobs.uploads import combined
from compute_horde_common.links.link import Link, LinkClosed, LinkTimeout, TooMuchRubbish
from compute_horde_common.links.websocket import DialFailed
from compute_horde_common.protocol.facilitator_validator import StatusMetadata, StreamingServer
from compute_horde_common.protocol.validator_miner import (
    AcceptedReceipt,
    AcceptJob,
    Authenticate,
    DeclineJob,
    ExecutionDone,
    ExecutorReady,
    FinishedReceipt,
    GenericError,
    HordeFailed,
    JobFailedReport,
    JobFinished,
    LegacyExecutorFailed,
    LegacyStreamingNotReady,
    MachineSpecs,
    MainHotkey,
    Manifest,
    MinerToValidator,
    StartJob,
    StreamingReady,
    UnauthorizedError,
    ValidatorToMiner,
    VolumesReady,
)
from validator.domain.assignments import Assignment, result_of
from validator.domain.phases import REACHED, Phase, Progress, timed_out

log = structlog.get_logger(__name__)

CONNECT_SECONDS: Final = 5.0
"""How long one try to connect may take."""
CONNECT_TRIES: Final = 3
FIRST_PAUSE: Final = 0.25
LONGEST_PAUSE: Final = 5.0

MinerLink = Link[MinerToValidator, ValidatorToMiner]
Dial = Callable[[float], AbstractAsyncContextManager[MinerLink]]
"""Opens a link to the job's miner within so many seconds; raises ``DialFailed``."""

Answer = AcceptJob | ExecutorReady | VolumesReady | StreamingReady | ExecutionDone | JobFinished


class JobDesk(Protocol):
    """What the conversation needs of its validator; one desk for each job on a miner."""

    @property
    def clock(self) -> Clock:
        """The time."""
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

    async def record(
        self, status: JobStatus, progress: Progress, metadata: StatusMetadata | None = None
    ) -> None:
        """Stores that the job has come to a status, and what it waits for now."""
        ...

    async def complete(self, result: StatusMetadata) -> FinishedReceipt:
        """Stores that the job is completed; the receipt says what it is worth."""
        ...

    async def give_up(self, failure: Rejection | JobFailure | HordeFailure) -> FinishedReceipt:
        """Stores that this miner did not complete the job; the receipt is worth nothing."""
        ...

    async def said_farewell(self) -> None:
        """Notes that the finished receipt was sent."""
        ...

    async def abandon(self, failure: Rejection | JobFailure | HordeFailure) -> None:
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
        self._breaks = 0
        self._over = False

    @property
    def phase(self) -> str:
        """What the job waits for, in a word."""
        return self._progress.phase if self._progress else "connect"

    def time_to_connect(self) -> float:
        """How long the next try to connect may take, in seconds."""
        if self._progress is None:
            return CONNECT_SECONDS
        return min(CONNECT_SECONDS, self._progress.deadline.left(self._desk.clock.now()))

    async def pause(self) -> None:
        """Waits before the next socket.

        Raises:
            JobFailed: there is no time, or no try, left.
        """
        self._breaks += 1
        if self._progress is None and self._breaks >= CONNECT_TRIES:
            raise JobFailed(_unreachable("the miner could not be reached"))
        now = self._desk.clock.now()
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self._breaks - 1, 10))
        wake = now + timedelta(seconds=pause)
        if self._progress is not None:
            wake = min(wake, self._progress.deadline.at)
        await self._desk.clock.sleep_until(wake)
        if self._progress is not None and self._desk.clock.now() >= self._progress.deadline.at:
            raise JobFailed(timed_out(self._progress.phase))

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
            await link.send(self._start())
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
                    await link.send(self._start())
                case JobFinished():
                    return await self._complete(answer)
                case _:
                    pass
            status = REACHED[progress.phase]
            await self._desk.record(status, following, _metadata(answer))
            self._progress = progress = following
            self._breaks = 0

    async def _answer(self, link: MinerLink, progress: Progress) -> Answer:
        while (answer := self._answers.get(progress.phase)) is None:
            left = progress.deadline.left(self._desk.clock.now())
            try:
                message = await link.receive(within=left)
            except LinkTimeout:
                raise JobFailed(timed_out(progress.phase)) from None
            except TooMuchRubbish as rubbish:
                raise JobFailed(_confused(str(rubbish))) from None
            await self._take(message)
        return answer

    async def _take(self, message: MinerToValidator) -> None:
        match message:
            case AcceptJob():
                self._answers.setdefault(Phase.RESERVATION, message)
            case ExecutorReady():
                self._answers.setdefault(Phase.READINESS, message)
            case VolumesReady():
                self._answers.setdefault(Phase.VOLUMES, message)
            case StreamingReady():
                self._answers.setdefault(Phase.STREAMING, message)
            case ExecutionDone():
                self._answers.setdefault(Phase.EXECUTION, message)
            case JobFinished():
                self._answers.setdefault(Phase.FINAL, message)
            case Manifest():
                await self._desk.saw(message)
            case GenericError():
                log.warning("miner did not understand", details=(message.details or "")[:500])
            case MachineSpecs() | MainHotkey():
                log.debug("message passed by", kind=message.message_type)
            case _:
                raise JobFailed(_reported(message))

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


def _metadata(answer: Answer) -> StatusMetadata | None:
    match answer:
        case StreamingReady():
            return StatusMetadata(
                streaming_details=StreamingServer(
                    streaming_server_cert=answer.public_key,
                    streaming_server_address=answer.ip,
                    streaming_server_port=answer.port,
                )
            )
        case _:
            return None


Bad = (
    DeclineJob
    | JobFailedReport
    | HordeFailed
    | LegacyExecutorFailed
    | LegacyStreamingNotReady
    | UnauthorizedError
)


def _reported(message: Bad) -> Rejection | JobFailure | HordeFailure:
    match message:
        case DeclineJob():
            return Rejection(
                rejected_by=Participant.MINER,
                reason=message.reason,
                message=message.message,
                context=message.context,
            )
        case JobFailedReport() | HordeFailed():
            return message.failure()
        case LegacyExecutorFailed():
            return HordeFailure(
                reported_by=Participant.MINER,
                reason=HordeFailureReason.GENERIC_ERROR,
                message="the executor failed",
            )
        case LegacyStreamingNotReady():
            return HordeFailure(
                reported_by=Participant.MINER,
                reason=HordeFailureReason.STREAMING_FAILED,
                message="the job did not start to stream",
            )
        case UnauthorizedError():
            return _unreachable(f"the miner does not let us in: {message.code}")


def _confused(message: str) -> HordeFailure:
    return HordeFailure(
        reported_by=Participant.VALIDATOR,
        reason=HordeFailureReason.GENERIC_ERROR,
        message=f"the miner does not keep to the protocol: {message}",
    )


def _unreachable(message: str) -> HordeFailure:
    return HordeFailure(
        reported_by=Participant.VALIDATOR,
        reason=HordeFailureReason.MINER_CONNECTION_FAILED,
        message=message,
    )

"""One job on a miner, from the offer to its result, as a validator would run it."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import TypeVar

from compute_horde_common.clock import Clock
from compute_horde_common.jobs.failures import RejectionReason
from compute_horde_common.links.link import LinkClosed, LinkTimeout, TooMuchRubbish
from compute_horde_common.protocol.validator_miner import (
    AcceptJob,
    DeclineJob,
    ExecutionDone,
    ExecutorReady,
    GenericError,
    HordeFailed,
    JobFailedReport,
    JobFinished,
    LegacyExecutorFailed,
    MinerToValidator,
    VolumesReady,
)
from miner.management.frames import Frames
from miner.management.guest import MinerLink

BUSY = RejectionReason.BUSY
Step = TypeVar("Step", AcceptJob, ExecutorReady, VolumesReady, ExecutionDone, JobFinished)
Tell = Callable[[float, str], None]
"""Is told of each stage that is over, and how many seconds it took."""


class TrialFailed(Exception):
    """The job did not go well; the message says at which stage, and why."""


class Trial:
    """The validator's side of one job.

    Args:
        frames: what is said about the job.
        link: where it is said, by somebody who was let in.
        clock: the time.
        tell: see there.
    """

    def __init__(self, frames: Frames, link: MinerLink, clock: Clock, tell: Tell) -> None:
        self._frames = frames
        self._link = link
        self._clock = clock
        self._tell = tell
        self._begun = clock.now()
        self._stage = "offer"

    async def run(self) -> None:
        """Returns when the job has ended, and what it printed is right.

        Raises:
            TrialFailed: see there.
        """
        try:
            finished = await self._converse()
        except LinkClosed as closed:
            raise self._failed(str(closed)) from None
        finally:
            # However it ended, the miner need not keep it any longer.
            with suppress(LinkClosed):
                await self._link.send(self._frames.finished(self._begun, self._clock.now()))
        word, said = self._frames.job.word, finished.docker_process_stdout
        if said.strip() != word:
            raise self._failed(f"the job printed {said[:200]!r} in place of {word!r}")

    async def _converse(self) -> JobFinished:
        await self._link.send(self._frames.offer(self._clock.now()))
        await self._hear(AcceptJob, "offer")
        await self._link.send(self._frames.accepted(self._clock.now()))
        await self._hear(ExecutorReady, "executor")
        await self._link.send(self._frames.start())
        await self._hear(VolumesReady, "inputs")
        await self._hear(ExecutionDone, "execution")
        return await self._hear(JobFinished, "result")

    async def _hear(self, kind: type[Step], stage: str) -> Step:
        self._stage, since = stage, self._clock.now()
        message = await self._next(kind)
        self._tell((self._clock.now() - since).total_seconds(), stage)
        return message

    async def _next(self, kind: type[Step]) -> Step:
        while True:
            try:
                message = await self._link.receive(within=self._left())
            except LinkTimeout:
                limit = self._frames.job.seconds
                raise self._failed(f"nothing more was heard until the limit of {limit} s") from None
            except TooMuchRubbish as rubbish:
                raise self._failed(str(rubbish)) from None
            if isinstance(message, kind):
                return message
            if (reason := _refusal(message)) is not None:
                raise self._failed(reason)

    def _left(self) -> float:
        end = self._begun + timedelta(seconds=self._frames.job.seconds)
        return max(0.0, (end - self._clock.now()).total_seconds())

    def _failed(self, reason: str) -> TrialFailed:
        return TrialFailed(f"{self._stage}: {reason}")


def _refusal(message: MinerToValidator) -> str | None:
    """Why a message ends the job; None if it does not."""
    match message:
        case DeclineJob():
            advice = ". Try again when a job has ended" if message.reason == BUSY else ""
            return f"declined, {message.reason}: {message.message}{advice}"
        case JobFailedReport():
            printed = (message.docker_process_stderr or "")[-500:].strip()
            return f"{message.reason} at {message.stage}: {message.message} {printed}".rstrip()
        case HordeFailed():
            return f"{message.reason}, as the {message.reported_by} reports: {message.message}"
        case LegacyExecutorFailed():
            return "the executor failed, and does not say why"
        case GenericError():
            return message.details or "the miner does not say why"
        case _:
            return None

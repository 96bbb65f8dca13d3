"""One job on an executor of its own, from the start of that process to its end."""

import asyncio
import logging
from contextlib import suppress
from typing import Final

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from compute_horde_common.clock import Clock
from compute_horde_common.jobs.failures import (
    HordeFailure,
    HordeFailureReason,
    JobFailure,
    JobFailureReason,
    Participant,
)
from compute_horde_common.jobs.lifecycle import JobStatus
from compute_horde_common.protocol.facilitator_validator import StatusMetadata
from compute_horde_sdk._internal.local.conversation import Conversation, first_of
from compute_horde_sdk._internal.local.door import door
from compute_horde_sdk._internal.local.executor import (
    ExecutorProcess,
    ExecutorUnusable,
    Machine,
)
from compute_horde_sdk._internal.local.job import LocalJob
from compute_horde_sdk._internal.local.leftovers import new_token, remove_leftovers

CONNECT_SECONDS: Final = 60.0
"""How long an executor may take to start and to connect."""
MARGIN_SECONDS: Final = 60.0
"""Executors keep to the job's limits; so much later, one that does not is ended."""
EXIT_SECONDS: Final = 10.0

logger = logging.getLogger(__name__)


class Run:
    """One job, begun at once or as soon as there is room.

    Args:
        job: the job.
        machine: how executors run here.
        room: how many of them may run at once.
        clock: the time.

    Attributes:
        job: the job.
        taken: done once the job waits for its turn, or has an executor; fails with
            `ExecutorUnusable` if it cannot get one.
    """

    def __init__(
        self, job: LocalJob, machine: Machine, room: asyncio.Semaphore, clock: Clock
    ) -> None:
        self.job = job
        self.taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._machine = machine
        self._room = room
        self._clock = clock
        self._cancelled = asyncio.Event()
        job.move(JobStatus.SENT)
        job.move(JobStatus.RECEIVED)
        self._task = asyncio.create_task(self._to_the_end())

    def cancel(self) -> None:
        """Has the job ended; that takes a moment."""
        self.job.note_cancellation()
        self._cancelled.set()
        if self.job.status is JobStatus.RECEIVED:
            self._task.cancel()

    async def stop(self) -> None:
        """Ends the job now; returns once nothing of it is left."""
        if not self.job.status.is_end:
            self._task.cancel()
        # One of an event loop that is closed is done, and cannot be waited for.
        if not self._task.done():
            await asyncio.wait({self._task})

    async def _to_the_end(self) -> None:
        try:
            if self._room.locked():
                self.taken.set_result(None)
            async with self._room:
                await self._on_executor()
        except asyncio.CancelledError:
            if not self.taken.done():
                self.taken.set_exception(ExecutorUnusable("this client is closed"))
            self._note_cancelled()
            raise
        except ExecutorUnusable as unusable:
            self._give_up(HordeFailureReason.EXECUTOR_SPINUP_FAILED, str(unusable))
        except Exception as error:
            logger.exception("local run broke")
            told = f"{type(error).__name__}: {error}"
            self._give_up(HordeFailureReason.UNHANDLED_EXCEPTION, told)

    async def _on_executor(self) -> None:
        token = new_token()
        async with door(token) as (address, arrival):
            name = self.job.spec.executor_class
            process = ExecutorProcess(self._machine.environment(address, token, name))
            connection: ServerConnection | None = None
            try:
                connection = await _arrived(arrival, process, self._clock)
                await self._talk(connection, process)
            finally:
                if connection is not None:
                    await connection.close()
                await process.stop(self._clock, knows=connection is not None)
                await remove_leftovers(self._machine.docker_host, token, self._machine.work_dir)

    async def _talk(self, connection: ServerConnection, process: ExecutorProcess) -> None:
        conversation = Conversation(connection, self.job, self._clock)
        try:
            faults = await conversation.faults()
        except ConnectionClosed:
            raise ExecutorUnusable(f"the executor went away: {process.last_words}") from None
        if faults:
            raise ExecutorUnusable(self._machine.unfit(faults, self.job.spec.executor_class))
        self.job.move(JobStatus.ACCEPTED)
        if not self.taken.done():
            self.taken.set_result(None)
        limit = self._machine.startup_seconds + self.job.spec.limits.total + MARGIN_SECONDS
        await conversation.hold(self._cancelled, limit)
        if self.job.status.is_end:
            return
        if self._cancelled.is_set():
            self._note_cancelled()
        else:
            await self._note_loss(process)

    async def _note_loss(self, process: ExecutorProcess) -> None:
        """The executor is gone, or silent, and has not said how the job ended."""
        with suppress(TimeoutError):
            async with self._clock.timeout(EXIT_SECONDS):
                await process.gone.wait()
        self._fail(
            HordeFailureReason.EXECUTOR_DISCONNECTED,
            f"the executor left in the middle of the job, {process.ending}: {process.last_words}",
        )

    def _note_cancelled(self) -> None:
        who = "by its author" if self._cancelled.is_set() else "when its client was closed"
        failure = JobFailure(
            reason=JobFailureReason.CANCELLED,
            stage=self.job.stage,
            message=f"The job was cancelled {who}.",
        )
        self.job.move(JobStatus.FAILED, StatusMetadata.of_failure(failure))

    def _give_up(self, reason: HordeFailureReason, message: str) -> None:
        if not self.taken.done():
            self.taken.set_exception(ExecutorUnusable(message))
        self._fail(reason, message)

    def _fail(self, reason: HordeFailureReason, message: str) -> None:
        failure = HordeFailure(reported_by=Participant.MINER, reason=reason, message=message)
        self.job.move(JobStatus.HORDE_FAILED, StatusMetadata.of_failure(failure))


async def _arrived(
    arrival: "asyncio.Future[ServerConnection]", process: ExecutorProcess, clock: Clock
) -> ServerConnection:
    """The executor's connection.

    Raises:
        ExecutorUnusable: it did not come.
    """
    ending = asyncio.ensure_future(process.gone.wait())
    try:
        await first_of(arrival, ending, within=CONNECT_SECONDS, clock=clock)
    finally:
        ending.cancel()
    if not arrival.done():
        raise ExecutorUnusable(f"the executor did not start: {process.last_words}")
    return arrival.result()

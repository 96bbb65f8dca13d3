"""The miner's side of its conversation with one executor.

What the executor says becomes rows for the validator; what it is told is read from rows.
"""

import asyncio
from typing import Final

import structlog

from compute_horde_common.clock import Clock
from compute_horde_common.contrib.django.conversation import ConsumerPipe
from compute_horde_common.contrib.django.db import in_database
from compute_horde_common.contrib.django.mailbox import listening
from compute_horde_common.jobs.failures import (
    HordeFailureReason,
    JobFailureReason,
    Participant,
    Stage,
)
from compute_horde_common.links.link import Link, LinkClosed, Pipe
from compute_horde_common.protocol.base import Codec
from compute_horde_common.protocol.live import JOB_CONTROL, JobLog, JobProgress
from compute_horde_common.protocol.miner_executor import (
    ExecutorToMiner,
    HostUnfit,
    MinerToExecutor,
)
from compute_horde_common.protocol.signatures import Signer, hex_signed
from compute_horde_common.protocol.validator_miner import (
    ExecutorReady,
    GenericError,
    HordeFailed,
    JobFailedReport,
    LegacyExecutorFailed,
    LegacyStreamingNotReady,
    StreamingReady,
    streaming_text,
)
from compute_horde_common.telemetry import metrics
from compute_horde_common.telemetry.logs import bind
from miner.domain.progress import OutOfOrder, Step
from miner.services import executors, hosts, jobs, live
from miner.services.executors import Order
from miner.services.topics import executor_topic

log = structlog.get_logger(__name__)

LOOK_SECONDS: Final = 10.0
"""How long a lost wake-up can delay an order."""
MAX_REFUSED: Final = 16
"""Messages out of place after which an executor is not listened to any more."""
_SHOWN: Final = 8

_CODEC: Codec[ExecutorToMiner] = Codec(ExecutorToMiner)

AboutJob = Step | GenericError | LegacyExecutorFailed | LegacyStreamingNotReady
"""What moves a job on, in new words or old."""


async def converse_with_executor(pipe: ConsumerPipe, signer: Signer | None, clock: Clock) -> None:
    """One executor's socket, to its end."""
    token = str(pipe.scope.kwargs["token"])
    seen_from = pipe.scope.headers.get("x-real-ip") or pipe.scope.client
    with (
        bind(executor=token[:_SHOWN]),
        metrics.LINKS_OPEN.labels("miner", "executor").track_inprogress(),
    ):
        await ExecutorConversation(
            pipe, token, seen_from, signer, clock, job_control=pipe.scope.subprotocol == JOB_CONTROL
        ).hold()


class ExecutorConversation:
    """One executor's only socket.

    Args:
        pipe: the socket.
        token: what it came with.
        seen_from: the address that it came from.
        signer: signs for this miner, where it has a key.
        clock: the time.
        job_control: whether the two ends chose `JOB_CONTROL`.
    """

    def __init__(
        self,
        pipe: Pipe,
        token: str,
        seen_from: str,
        signer: Signer | None,
        clock: Clock,
        *,
        job_control: bool = False,
    ) -> None:
        self._pipe = pipe
        self._link: Link[ExecutorToMiner, MinerToExecutor] = Link(
            pipe, _CODEC, clock=clock, complain=_complaint
        )
        self._token = token
        self._address = seen_from
        self._signer = signer
        self._clock = clock
        self._job_control = job_control
        self._job_uuid: str | None = None
        self._refused = 0

    async def hold(self) -> None:
        """The whole conversation.

        Raises:
            LinkError: the socket broke while something was said.
        """
        now = self._clock.now()
        if not await in_database(executors.connect)(
            self._token, now, job_control=self._job_control
        ):
            metrics.REFUSALS.labels("miner", "EXECUTOR_TOKEN").inc()
            log.warning("executor refused")
            await self._link.send(_complaint("this token is not valid, or was used before"))
            await self._link.close()
            return
        try:
            async with asyncio.TaskGroup() as tasks:
                ordering = tasks.create_task(self._order())
                await self._listen()
                ordering.cancel()
        finally:
            await in_database(executors.disconnect)(self._token, self._clock.now())

    async def _order(self) -> None:
        """Passes on the offer, then the job, or that it is cancelled; closes the socket when the
        executor is not wanted any more."""
        told: set[Order] = set()
        async with listening(executor_topic(self._token), clock=self._clock) as ear:
            while True:
                orders = await in_database(executors.orders)(self._token, told)
                if orders.over:
                    await self._link.close()
                    return
                self._job_uuid = orders.job_uuid
                if orders.order is None:
                    await ear.wait(within=LOOK_SECONDS)
                elif not await self._pass_on(orders.order, orders.text):
                    return
                else:
                    told.add(orders.order)

    async def _pass_on(self, order: Order, text: str) -> bool:
        if order is Order.OFFER:
            text, self._address = await in_database(executors.offer_for_executor)(
                text, self._token, self._address
            )
        try:
            await self._pipe.send_text(text)
        except LinkClosed:
            return False
        return True

    async def _listen(self) -> None:
        async for message in self._link:
            fault = await self._hear(message)
            if fault is None:
                continue
            self._refused += 1
            log.warning("executor's message refused", reason=fault)
            if self._refused > MAX_REFUSED:
                await self._link.close(1008, "too many messages out of place")
                return
            if not isinstance(message, GenericError):  # complaints about complaints never end
                await self._link.send(_complaint(fault))

    async def _hear(self, message: ExecutorToMiner) -> str | None:
        """What is wrong with a message, if anything."""
        now, job_uuid = self._clock.now(), self._job_uuid
        if isinstance(message, HostUnfit):
            return await in_database(hosts.note_unfit)(self._token, message.reasons, now)
        if job_uuid is None:
            return "there is no job yet"
        if not isinstance(message, GenericError) and message.job_uuid != job_uuid:
            return "that is another job's"
        try:
            if isinstance(message, JobLog | JobProgress):
                await in_database(live.relay)(job_uuid, message, now)
            else:
                await in_database(jobs.say)(job_uuid, self._step(message, job_uuid), now)
        except OutOfOrder as wrong:
            return str(wrong)
        return None

    def _step(self, message: AboutJob, job_uuid: str) -> Step:
        """What the validator is told."""
        match message:
            case ExecutorReady():
                return ExecutorReady(job_uuid=job_uuid)
            case StreamingReady():
                return self._with_address(message)
            case GenericError():
                return _executor_failed(job_uuid, message.details or "the executor gave up")
            case LegacyExecutorFailed():
                return _executor_failed(job_uuid, "the executor failed")
            case LegacyStreamingNotReady():
                return JobFailedReport(
                    job_uuid=job_uuid,
                    message="the job did not start to stream",
                    reason=JobFailureReason.UNKNOWN,
                    stage=Stage.STREAMING_STARTUP,
                )
            case _:
                return message

    def _with_address(self, ready: StreamingReady) -> StreamingReady:
        text = streaming_text(ready.job_uuid, self._address, ready.port, ready.public_key)
        signature = hex_signed(text, self._signer) if self._signer is not None else None
        return ready.model_copy(
            update={
                "executor_token": None,
                "ip": self._address,
                "miner_signature": signature,
            }
        )


def _executor_failed(job_uuid: str, message: str) -> HordeFailed:
    return HordeFailed(
        job_uuid=job_uuid,
        reported_by=Participant.EXECUTOR,
        message=message[:1000],
        reason=HordeFailureReason.GENERIC_ERROR,
    )


def _complaint(details: str) -> GenericError:
    return GenericError(details=details)

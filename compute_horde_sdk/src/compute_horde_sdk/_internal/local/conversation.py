"""What is said to an executor about its one job, as a miner would pass it on from a validator."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from compute_horde_common.clock import Clock
from compute_horde_common.jobs import uploads, volumes
from compute_horde_common.jobs.executor_classes import executor_class
from compute_horde_common.jobs.lifecycle import JobStatus
from compute_horde_common.protocol.base import Codec, encode
from compute_horde_common.protocol.facilitator_validator import (
    MinerResponse,
    StatusMetadata,
    StreamingServer,
)
from compute_horde_common.protocol.live import CANCEL_SECONDS, CancelJob, JobLog, JobProgress
from compute_horde_common.protocol.miner_executor import ExecutorToMiner, HostUnfit
from compute_horde_common.protocol.receipts import JobStartedReceiptPayload
from compute_horde_common.protocol.validator_miner import (
    ExecutionDone,
    ExecutorReady,
    ExecutorTiming,
    HordeFailed,
    JobFailedReport,
    JobFinished,
    OfferJob,
    StartJob,
    StreamingReady,
    VolumesReady,
)
from compute_horde_sdk._internal.local.door import ADDRESS
from compute_horde_sdk._internal.local.job import LocalJob

OURSELVES: Final = "local"
CLEAR_SECONDS: Final = 10.0

logger = logging.getLogger(__name__)

_CODEC: Codec[ExecutorToMiner] = Codec(ExecutorToMiner)
_REACHED = {
    ExecutorReady: JobStatus.EXECUTOR_READY,
    VolumesReady: JobStatus.VOLUMES_READY,
    ExecutionDone: JobStatus.EXECUTION_DONE,
}


class Conversation:
    """With one executor about one job; what is learnt is noted in the job.

    Args:
        connection: to the executor.
        job: the job.
        clock: the time.
    """

    def __init__(self, connection: ServerConnection, job: LocalJob, clock: Clock) -> None:
        self._connection = connection
        self._job = job
        self._clock = clock

    async def faults(self) -> Sequence[str]:
        """Why the executor takes no job; nothing if it does.

        Raises:
            ConnectionClosed: it is gone.
        """
        with suppress(ConnectionClosed):
            # One that is fit has nothing to cancel, and says so.
            await self._connection.send(encode(CancelJob(job_uuid=self._job.uuid)))
        answer = _CODEC.decode(await self._connection.recv())
        return answer.reasons if isinstance(answer, HostUnfit) else []

    async def hold(self, cancelled: asyncio.Event, limit: float) -> None:
        """All about the job until it has ended; returns as well when the executor is gone, or does
        not answer any more: after ``limit`` seconds, or some seconds after the cancellation."""
        listening = asyncio.ensure_future(self._listen())
        wishing = asyncio.ensure_future(cancelled.wait())
        try:
            await first_of(listening, wishing, within=limit, clock=self._clock)
            if wishing.done() and not listening.done():
                with suppress(ConnectionClosed):
                    await self._connection.send(encode(CancelJob(job_uuid=self._job.uuid)))
                await first_of(listening, within=CANCEL_SECONDS, clock=self._clock)
        finally:
            listening.cancel()
            wishing.cancel()
            await asyncio.wait({listening, wishing})
        if not listening.cancelled():
            listening.result()

    async def _listen(self) -> None:
        with suppress(ConnectionClosed):
            await self._connection.send(encode(self._offer()))
            async for text in self._connection:
                message = _CODEC.decode(text)
                if (ending := _ending(message)) is not None:
                    await self._cleared_up()
                    self._job.move(*ending)
                    return
                self._hear(message)
                if isinstance(message, ExecutorReady):
                    await self._connection.send(encode(self._start()))

    def _hear(self, message: ExecutorToMiner) -> None:
        match message:
            case ExecutorReady() | VolumesReady() | ExecutionDone():
                self._job.move(_REACHED[type(message)])
            case StreamingReady():
                self._job.move(JobStatus.STREAMING_READY, _where(message))
            case JobLog():
                self._job.write(message.pieces)
            case JobProgress():
                self._job.note_progress(message.percent, message.text)
            case _:
                logger.debug("executor said something else: %s", message.message_type)

    async def _cleared_up(self) -> None:
        """Returns once the executor has removed the job's container and files, if it does that
        soon: who waited for the end of a job may look for them."""
        with suppress(TimeoutError):
            async with self._clock.timeout(CLEAR_SECONDS):
                await self._connection.wait_closed()

    def _offer(self) -> OfferJob:
        spec = self._job.spec
        streaming = spec.streaming_details
        started = JobStartedReceiptPayload(
            job_uuid=self._job.uuid,
            miner_hotkey=OURSELVES,
            validator_hotkey=OURSELVES,
            timestamp=self._clock.now(),
            executor_class=spec.executor_class,
            is_organic=True,
            ttl=0,
        )
        return OfferJob(
            job_uuid=self._job.uuid,
            executor_class=spec.executor_class,
            docker_image=spec.docker_image,
            volume=volumes.combined(spec.volumes),
            job_started_receipt_payload=started,
            job_started_receipt_signature="",
            streaming_details=streaming and streaming.model_copy(update={"executor_ip": ADDRESS}),
            executor_timing=ExecutorTiming.of(spec.limits),
        )

    def _start(self) -> StartJob:
        spec = self._job.spec
        has_gpu = executor_class(spec.executor_class).has_gpu
        return StartJob(
            job_uuid=self._job.uuid,
            executor_class=spec.executor_class,
            docker_image=spec.docker_image,
            docker_run_options_preset="nvidia_all" if has_gpu else "none",
            docker_run_cmd=spec.args,
            env=spec.env,
            output_upload=uploads.combined(spec.uploads),
            artifacts_dir=spec.artifacts_dir or None,
        )


async def first_of(*tasks: "asyncio.Future[Any]", within: float, clock: Clock) -> None:
    """Returns when one of these is done, or so many seconds have passed."""
    with suppress(TimeoutError):
        async with clock.timeout(within):
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


def _ending(message: ExecutorToMiner) -> tuple[JobStatus, StatusMetadata] | None:
    """The status in which a job ends with a message, if it does."""
    match message:
        case JobFinished():
            return JobStatus.COMPLETED, _result(message)
        case JobFailedReport() | HordeFailed():
            failure = message.failure()
            return failure.status, StatusMetadata.of_failure(failure)
        case _:
            return None


def _where(ready: StreamingReady) -> StatusMetadata:
    return StatusMetadata(
        streaming_details=StreamingServer(
            streaming_server_cert=ready.public_key,
            streaming_server_address=ADDRESS,
            streaming_server_port=ready.port,
        )
    )


def _result(finished: JobFinished) -> StatusMetadata:
    return StatusMetadata(
        miner_response=MinerResponse(
            docker_process_stdout=finished.docker_process_stdout,
            docker_process_stderr=finished.docker_process_stderr,
            artifacts=finished.artifacts,
            upload_results=finished.upload_results,
        )
    )

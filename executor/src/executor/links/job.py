"""The story of one job, from the offer to the report."""

import asyncio
from contextlib import AsyncExitStack

import structlog

from compute_horde_common.containers.interface import EngineError
from compute_horde_common.jobs import volumes
from compute_horde_common.jobs.executor_classes import executor_class
from compute_horde_common.jobs.failures import (
    Failure,
    HordeFailure,
    HordeFailureReason,
    JobFailed,
    JobFailure,
    JobFailureReason,
    Stage,
)
from compute_horde_common.jobs.timing import STARTUP_SECONDS, Deadline, Limits
from compute_horde_common.links.link import Link, LinkError
from compute_horde_common.protocol.base import encode
from compute_horde_common.protocol.facilitator_validator import MAX_FRAME_TO_FACILITATOR
from compute_horde_common.protocol.miner_executor import ExecutorToMiner, MinerToExecutor
from compute_horde_common.protocol.validator_miner import (
    ExecutionDone,
    ExecutorReady,
    HordeFailed,
    JobFailedReport,
    JobFinished,
    MachineSpecs,
    OfferJob,
    StartJob,
    VolumesReady,
)
from compute_horde_common.transfer.errors import StorageFailed
from compute_horde_common.transfer.tree import JobTree
from executor import machine
from executor.links.bench import Bench, horde_failure, refusing, within
from executor.links.execution import Execution
from executor.links.live import PullReport
from executor.stages.artifacts import ArtifactLimits, Artifacts, collect_artifacts
from executor.stages.disk import check_floor
from executor.stages.images import bring_image
from executor.stages.inputs import fill_volume
from executor.stages.logs import read_logs, with_notes
from executor.stages.run import alongside
from executor.stages.sandbox import artifacts_folder, artifacts_target
from executor.stages.uploads import Sent, send_uploads

REPORT_SECONDS = 1
"""By how much an executor gives up starting before its validator would, to say why."""

_ENVELOPE_BYTES = 512 << 10
"""For the names of artifacts, and what else is in the frame."""

_RAN = frozenset({JobFailureReason.NONZERO_RETURN_CODE, JobFailureReason.TIMEOUT})

log = structlog.get_logger(__name__)


class Job:
    """One job, from the offer to the report.

    Args:
        offer: what the miner offers.
        link: to the miner.
        bench: what the job is done with.
        cleanup: what has to be undone at the end.
        specs: the description of this machine, when it is there.

    Attributes:
        uuid: the job's.
        told: the job itself, once the miner has said it.
        cancelled: set when the miner does not want the job any more.
    """

    def __init__(
        self,
        offer: OfferJob,
        link: Link[MinerToExecutor, ExecutorToMiner],
        bench: Bench,
        cleanup: AsyncExitStack,
        specs: asyncio.Task[machine.Section],
    ) -> None:
        self.uuid = offer.job_uuid
        self.told: asyncio.Future[StartJob] = asyncio.get_running_loop().create_future()
        self.cancelled = asyncio.Event()
        self._offer = offer
        self._link = link
        self._bench = bench
        self._config = bench.config
        self._engine = bench.engine
        self._clock = bench.clock
        self._cleanup = cleanup
        self._specs = specs
        self._stage = Stage.EXECUTOR_STARTUP
        self._execution = Execution(offer, link, bench, cleanup)

    async def run(self) -> None:
        """Runs the job and sends its one report, good or bad; ``LinkClosed`` if nobody hears it."""
        try:
            finished = await self._unless_cancelled()
        except JobFailed as failed:
            await self._report(failed.failure)
        except LinkError:
            raise
        except (EngineError, StorageFailed) as failure:
            await self._report(horde_failure(self._stage, str(failure)))
        except Exception as failure:
            log.exception("job broke the executor")
            kind = type(failure).__name__
            reason = HordeFailureReason.UNHANDLED_EXCEPTION
            text = f"The executor broke with {kind}"
            await self._report(horde_failure(self._stage, text, reason, exception_type=kind))
        else:
            await self._link.send(finished)
            log.info("job finished")

    async def _unless_cancelled(self) -> JobFinished:
        """The result of the job; a cancellation that comes before it ends everything."""
        story = asyncio.ensure_future(self._through_all_stages())
        cancelling = asyncio.ensure_future(self.cancelled.wait())
        try:
            await asyncio.wait({story, cancelling}, return_when=asyncio.FIRST_COMPLETED)
            if story.done():
                return story.result()
            stage = self._stage
            logs = await self._execution.stopped_gently()
        finally:
            cancelling.cancel()
            story.cancel()
            await asyncio.wait({story, cancelling})
        if not story.cancelled():
            log.debug("cancelled job ended", failure=str(story.exception()))
        raise JobFailed(
            JobFailure(
                reason=JobFailureReason.CANCELLED,
                stage=stage,
                message="The job was cancelled by its author.",
                docker_process_stdout=logs.stdout if logs else None,
                docker_process_stderr=logs.stderr if logs else None,
            )
        )

    async def _through_all_stages(self) -> JobFinished:
        limits, staged = self._limits()
        await self._start_up()
        await self._link.send(ExecutorReady(job_uuid=self.uuid))

        deadline = Deadline.starting(self._clock.now(), limits.leeway + limits.download)
        job = await self._order(deadline)
        tree = await self._download(job, deadline)
        await self._link.send(VolumesReady(job_uuid=self.uuid))

        self._stage = Stage.EXECUTION
        deadline = deadline.extended(limits.streaming_start + limits.execution)
        longest = limits.execution if staged else None
        try:
            container_id = await self._execution.run(job, tree, limits, deadline, longest)
        except JobFailed as failed:
            raise await self._saved(failed, job, tree, deadline.extended(limits.upload)) from None
        await self._link.send(ExecutionDone(job_uuid=self.uuid))

        finished = await self._bring_out(job, tree, container_id, deadline.extended(limits.upload))
        await self._link.send(MachineSpecs(job_uuid=self.uuid, specs={"specs": await self._specs}))
        return finished

    def _limits(self) -> tuple[Limits, bool]:
        """The job's limits, and whether each stage has its own; else one is for all together."""
        timing, all_together = self._offer.executor_timing, self._offer.timeout_seconds
        with refusing(self._stage, "The job's limits are unusable"):
            if timing is not None:
                return timing.limits(), True
            if all_together is not None:
                return Limits(download=all_together, execution=0, upload=0, leeway=0), False
        raise JobFailed(horde_failure(self._stage, "The job has no limits"))

    async def _start_up(self) -> None:
        """Returns once the job can be had: there is room on the disk, and the image is here. All
        else about the host was looked at before there was a job."""
        promised = self._offer.executor_class
        if self._config.executor_class not in {None, promised}:
            text = f"This executor is not for class {promised}"
            raise JobFailed(horde_failure(self._stage, text))
        spin_up = executor_class(promised).spin_up_seconds
        seconds = self._config.startup_seconds or spin_up + STARTUP_SECONDS - REPORT_SECONDS
        image = self._offer.docker_image
        async with within(self._clock, seconds, self._late(image, f"within {seconds} s")):
            check_floor(self._config.work_dir)
            if image is not None:
                await self._bring_image(image)

    async def _bring_image(self, image: str) -> None:
        report = PullReport(self._link, self.uuid)
        tell = report.hear if self._bench.job_control else None
        await alongside(
            bring_image(self._engine, image, self._config, self._clock, tell), report.tell()
        )

    def _late(self, image: str | None, when: str) -> Failure:
        return horde_failure(self._stage, f"Image {image!r} was not here {when}")

    async def _order(self, deadline: Deadline) -> StartJob:
        late = horde_failure(self._stage, "The job itself did not arrive in time")
        async with within(self._clock, deadline.left(self._clock.now()), late):
            return await asyncio.shield(self.told)

    async def _download(self, job: StartJob, deadline: Deadline) -> JobTree:
        """The job's folders, filled with its inputs; and its image, if only now known."""
        self._stage = Stage.VOLUME_DOWNLOAD
        if job.volume is not None and self._offer.volume is not None:
            raise JobFailed(horde_failure(self._stage, "The job has two volumes"))
        if job.docker_image != self._offer.docker_image:
            late = self._late(job.docker_image, "in time")
            async with within(self._clock, deadline.left(self._clock.now()), late):
                await self._bring_image(job.docker_image)
        tree = JobTree.create(self._config.job_folder)
        self._cleanup.callback(tree.remove)
        wanted = volumes.separate(job.volume or self._offer.volume)
        await fill_volume(wanted, tree, self._config, deadline=deadline, clock=self._clock)
        return tree

    async def _bring_out(
        self, job: StartJob, tree: JobTree, container_id: str, deadline: Deadline
    ) -> JobFinished:
        """The result: logs, artifacts and what the servers of the uploads answered."""
        self._stage = Stage.RESULT_UPLOAD
        logs = await read_logs(self._engine, container_id, self._clock)
        try:
            sent = await self._send_uploads(job, tree, container_id, deadline)
        except JobFailed as failed:
            raise JobFailed(_with_logs(failed.failure, logs.stdout, logs.stderr)) from None
        finished = JobFinished(
            job_uuid=self.uuid,
            docker_process_stdout=logs.stdout,
            docker_process_stderr=logs.stderr,
            upload_results=sent.results,
        )
        artifacts = await self._artifacts(job, tree, beside=len(encode(finished).encode()))
        stderr = with_notes(logs.stderr, [*artifacts.left_out, *sent.left_out])
        return finished.model_copy(
            update={"artifacts": artifacts.files, "docker_process_stderr": stderr}
        )

    async def _saved(
        self, failed: JobFailed, job: StartJob, tree: JobTree, deadline: Deadline
    ) -> JobFailed:
        """The failure of a job that ran, after its uploads: partial outputs may be all that its
        author wants. How they went is in the failure's context."""
        failure, container_id = failed.failure, self._execution.container_id
        ran = isinstance(failure, JobFailure) and failure.reason in _RAN
        left = deadline.left(self._clock.now())
        awaited = self._offer.streaming_details is None or self._execution.can_be_reached
        if not (ran and awaited and left) or container_id is None or job.output_upload is None:
            return failed
        await self._link.send(ExecutionDone(job_uuid=self.uuid))
        try:
            sent = await self._send_uploads(job, tree, container_id, deadline)
        except JobFailed as upload:
            told = {"upload_failure": upload.failure.message, **(upload.failure.context or {})}
        except (EngineError, StorageFailed) as refusal:
            told = {"upload_failure": str(refusal)}
        else:
            told = {"upload_results": sent.results}
        return JobFailed(
            failure.model_copy(update={"context": {**(failure.context or {}), **told}})
        )

    async def _send_uploads(
        self, job: StartJob, tree: JobTree, container_id: str, deadline: Deadline
    ) -> Sent:
        return await send_uploads(
            job.output_upload,
            tree,
            self._engine,
            container_id,
            self._config,
            deadline=deadline,
            clock=self._clock,
        )

    async def _artifacts(self, job: StartJob, tree: JobTree, *, beside: int) -> Artifacts:
        """The job's artifacts; with ``beside`` bytes of other things they must fit in a frame."""
        target = artifacts_target(job.artifacts_dir or "")
        if not target:
            return Artifacts()
        folder = artifacts_folder(target, tree)
        room = max(0, (MAX_FRAME_TO_FACILITATOR - _ENVELOPE_BYTES - beside) * 3 // 4)
        limits = ArtifactLimits(
            self._config.artifact_bytes, min(self._config.artifacts_bytes, room)
        )
        return await asyncio.to_thread(collect_artifacts, folder, target, limits)

    async def _report(self, failure: Failure) -> None:
        log.info("job failed", stage=self._stage, reason=failure.reason, message=failure.message)
        match failure:
            case JobFailure():
                await self._link.send(JobFailedReport.of(self.uuid, failure))
            case HordeFailure():
                await self._link.send(HordeFailed.of(self.uuid, failure))
            case _:
                raise TypeError("an executor cannot reject a job")


def _with_logs(failure: Failure, stdout: str, stderr: str) -> Failure:
    if not isinstance(failure, JobFailure):
        return failure
    return failure.model_copy(
        update={"docker_process_stdout": stdout, "docker_process_stderr": stderr}
    )

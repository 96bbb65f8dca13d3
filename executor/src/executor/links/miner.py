"""The whole story of one job, as the executor lives it: `_Job.run` reads from top to bottom.

The socket is the executor's only tie. A miner that closes it before there is a job lets the
executor go; a socket that is lost in mid-job ends the job, because the token works once and nobody
else could take the result.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Literal, assert_never

import structlog

from compute_horde_common.clock import Clock
from compute_horde_common.containers.interface import ContainerEngine, EngineError
from compute_horde_common.jobs import volumes
from compute_horde_common.jobs.executor_classes import executor_class
from compute_horde_common.jobs.failures import (
    Failure,
    HordeFailure,
    HordeFailureReason,
    JobFailed,
    JobFailure,
    Participant,
    Stage,
)
from compute_horde_common.jobs.timing import STARTUP_SECONDS, Deadline, Limits
from compute_horde_common.jobs.uploads import SingleFileUpload
from compute_horde_common.links.link import Link, LinkClosed, LinkError, LinkTimeout
from compute_horde_common.protocol.miner_executor import ExecutorToMiner, MinerToExecutor
from compute_horde_common.protocol.validator_miner import (
    ExecutionDone,
    ExecutorReady,
    GenericError,
    HordeFailed,
    JobFailedReport,
    JobFinished,
    MachineSpecs,
    OfferJob,
    StartJob,
    VolumesReady,
)
from compute_horde_common.telemetry.logs import bind
from compute_horde_common.transfer.errors import StorageFailed
from compute_horde_common.transfer.tree import JobTree
from executor import machine
from executor.config import ExecutorConfig
from executor.safety import HostUnfit, check_host
from executor.stages.images import bring_image
from executor.stages.inputs import fill_volume
from executor.stages.logs import read_logs
from executor.stages.outputs import (
    Artifacts,
    collect_artifacts,
    send_uploads,
    wanted_uploads,
    write_logs,
)
from executor.stages.run import created, run_to_end
from executor.stages.sandbox import (
    Host,
    Program,
    artifacts_folder,
    artifacts_target,
    container_for,
    limits_for,
)

MinerLink = Link[MinerToExecutor, ExecutorToMiner]

REPORT_SECONDS = 1
"""By how much an executor gives up starting before its validator would, to say why."""

_IDLE_SECONDS = 3600

log = structlog.get_logger(__name__)


class MinerLost(Exception):
    """The miner went away, or turned this executor away, and no job was finished."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What a job is done with."""

    config: ExecutorConfig
    engine: ContainerEngine
    clock: Clock


async def serve_miner(link: MinerLink, bench: Bench) -> None:
    """Waits for the one job, runs and reports it. Returns too when the miner lets us go before.

    Whatever happens, also on cancellation, the job's container and files are gone at the end.

    Raises:
        MinerLost: the socket was lost in mid-job, or the miner does not want this executor.
        ContainerLeft: the container could not be removed.
    """
    looking = asyncio.create_task(_look_at_machine(bench.config))
    try:
        offer = await _offer(link)
        if offer is None:
            return
        with bind(job=offer.job_uuid):
            async with AsyncExitStack() as cleanup:
                await _while_connected(link, _Job(offer, link, bench, cleanup, looking))
    finally:
        looking.cancel()


async def _look_at_machine(config: ExecutorConfig) -> machine.Section:
    return await asyncio.to_thread(machine.describe_machine, config.work_dir, gpu=not config.no_gpu)


async def _offer(link: MinerLink) -> OfferJob | None:
    """The miner's offer, or None if it closes the socket instead.

    Always-on executors are there to wait: this ends when the miner closes the socket, or no longer
    answers its pings.
    """
    while True:
        try:
            message = await link.receive(within=_IDLE_SECONDS)
        except LinkTimeout:
            continue
        except LinkClosed:
            log.info("let go without a job")
            return None
        match message:
            case OfferJob():
                return message
            case GenericError():
                raise MinerLost(f"the miner does not want this executor: {message.details}")
            case StartJob():
                await _complain(link, "no job was offered yet")
            case never:
                assert_never(never)


async def _while_connected(link: MinerLink, job: "_Job") -> None:
    running = asyncio.create_task(job.run())
    listening = asyncio.create_task(_listen(link, job))
    try:
        await asyncio.wait({running, listening}, return_when=asyncio.FIRST_COMPLETED)
        lost = not running.done()
    finally:
        running.cancel()
        listening.cancel()
        await asyncio.wait({running, listening})
    if lost:
        raise MinerLost("the link to the miner broke in mid-job") from listening.exception()
    running.result()


async def _listen(link: MinerLink, job: "_Job") -> None:
    """Hears the miner for as long as the job runs; returns when the socket is closed."""
    async for message in link:
        match message:
            case StartJob() if message.job_uuid != job.uuid:
                await _complain(link, "this executor has another job")
            case StartJob() if not job.told.done():
                job.told.set_result(message)
            case StartJob():
                log.warning("job was started twice")
            case OfferJob():
                await _complain(link, "this executor has its one job")
            case GenericError():
                log.warning("miner did not understand", details=message.details)
            case never:
                assert_never(never)


async def _complain(link: MinerLink, details: str) -> None:
    log.warning("message out of order", details=details)
    await link.send(GenericError(details=details))


class _Job:
    """One job, from the offer to the report."""

    def __init__(
        self,
        offer: OfferJob,
        link: MinerLink,
        bench: Bench,
        cleanup: AsyncExitStack,
        specs: asyncio.Task[machine.Section],
    ) -> None:
        self.uuid = offer.job_uuid
        self.told: asyncio.Future[StartJob] = asyncio.get_running_loop().create_future()
        self._offer = offer
        self._link = link
        self._config = bench.config
        self._engine = bench.engine
        self._clock = bench.clock
        self._cleanup = cleanup
        self._specs = specs
        self._stage = Stage.EXECUTOR_STARTUP

    async def run(self) -> None:
        """Runs the job and sends its one report, good or bad; ``LinkClosed`` if nobody hears it."""
        try:
            finished = await self._through_all_stages()
        except JobFailed as failed:
            await self._report(failed.failure)
        except LinkError:
            raise
        except (EngineError, StorageFailed, HostUnfit) as failure:
            await self._report(self._horde_failure(str(failure)))
        except Exception as failure:
            log.exception("job broke the executor")
            kind = type(failure).__name__
            unhandled = HordeFailureReason.UNHANDLED_EXCEPTION
            text = f"The executor broke with {kind}"
            await self._report(self._horde_failure(text, unhandled, exception_type=kind))
        else:
            await self._link.send(finished)
            log.info("job finished")

    async def _through_all_stages(self) -> JobFinished:
        limits, staged = self._limits()
        await self._start_up()
        await self._link.send(ExecutorReady(job_uuid=self.uuid))

        deadline = Deadline.starting(self._clock.now(), limits.leeway + limits.download)
        job = await self._order(deadline)
        uploads = wanted_uploads(job.output_upload)
        tree = await self._download(job, deadline)
        await self._link.send(VolumesReady(job_uuid=self.uuid))

        deadline = deadline.extended(limits.execution)
        within = deadline.left(self._clock.now())
        if staged:
            within = min(within, limits.execution)
        container_id = await self._execute(job, tree, within)
        await self._link.send(ExecutionDone(job_uuid=self.uuid))

        deadline = deadline.extended(limits.upload)
        finished = await self._bring_out(job, uploads, tree, container_id, deadline)
        await self._link.send(MachineSpecs(job_uuid=self.uuid, specs={"specs": await self._specs}))
        return finished

    def _limits(self) -> tuple[Limits, bool]:
        """The job's limits, and whether each stage has its own; else one is for all together."""
        timing, all_together = self._offer.executor_timing, self._offer.timeout_seconds
        with self._refusing("The job's limits are unusable"):
            if timing is not None:
                return timing.limits(), True
            if all_together is not None:
                return Limits(download=all_together, execution=0, upload=0, leeway=0), False
        raise JobFailed(self._horde_failure("The job has no limits"))

    async def _start_up(self) -> None:
        """Returns once the job can be had: the host is fit and the image is here."""
        if self._offer.streaming_details is not None:
            text = "Streaming jobs are not supported by this executor yet"
            raise JobFailed(self._horde_failure(text, HordeFailureReason.STREAMING_FAILED))
        promised = self._offer.executor_class
        if self._config.executor_class not in {None, promised}:
            raise JobFailed(self._horde_failure(f"This executor is not for class {promised}"))
        spin_up = executor_class(promised).spin_up_seconds
        seconds = self._config.startup_seconds or spin_up + STARTUP_SECONDS - REPORT_SECONDS
        image = self._offer.docker_image
        late = self._horde_failure(f"Image {image!r} was not here within {seconds} s")
        async with self._within(seconds, late):
            await check_host(self._engine, self._config.work_dir)
            if image is not None:
                await bring_image(self._engine, image)

    async def _order(self, deadline: Deadline) -> StartJob:
        late = self._horde_failure("The job itself did not arrive in time")
        async with self._within(deadline.left(self._clock.now()), late):
            return await asyncio.shield(self.told)

    async def _download(self, job: StartJob, deadline: Deadline) -> JobTree:
        """The job's folders, filled with its inputs; and its image, if only now known."""
        self._stage = Stage.VOLUME_DOWNLOAD
        if job.volume is not None and self._offer.volume is not None:
            raise JobFailed(self._horde_failure("The job has two volumes"))
        late = self._horde_failure(f"Image {job.docker_image!r} was not here in time")
        if job.docker_image != self._offer.docker_image:
            async with self._within(deadline.left(self._clock.now()), late):
                await bring_image(self._engine, job.docker_image)
        tree = JobTree.create(self._config.job_folder)
        self._cleanup.callback(tree.remove)
        wanted = volumes.separate(job.volume or self._offer.volume)
        await fill_volume(wanted, tree, self._config, deadline=deadline, clock=self._clock)
        return tree

    async def _execute(self, job: StartJob, tree: JobTree, within: float) -> str:
        """The id of the container, once it has ended well."""
        self._stage = Stage.EXECUTION
        promised = executor_class(job.executor_class)
        with self._refusing("The job cannot be put into a container"):
            spec = container_for(
                _program(job),
                tree,
                self._config,
                job_uuid=self.uuid,
                limits=limits_for(promised, self._config, _host()),
                gpus=self._gpus(job),
            )
        container_id = await self._cleanup.enter_async_context(
            created(self._engine, spec, self._clock)
        )
        await run_to_end(self._engine, container_id, within=within, clock=self._clock)
        return container_id

    async def _bring_out(
        self,
        job: StartJob,
        uploads: list[SingleFileUpload],
        tree: JobTree,
        container_id: str,
        deadline: Deadline,
    ) -> JobFinished:
        """The result: logs, artifacts and what the servers of the uploads answered."""
        self._stage = Stage.RESULT_UPLOAD
        logs = await read_logs(self._engine, container_id, self._clock)
        artifacts = await self._artifacts(job, tree)
        await write_logs(uploads, tree.output, self._engine, container_id)
        results = await send_uploads(
            uploads, tree.output, self._config, logs, deadline=deadline, clock=self._clock
        )
        return JobFinished(
            job_uuid=self.uuid,
            docker_process_stdout=logs.stdout,
            docker_process_stderr=artifacts.noted_in(logs.stderr),
            artifacts=artifacts.files,
            upload_results=results,
        )

    async def _artifacts(self, job: StartJob, tree: JobTree) -> Artifacts:
        target = artifacts_target(job.artifacts_dir or "")
        if not target:
            return Artifacts()
        return await asyncio.to_thread(collect_artifacts, artifacts_folder(target, tree), target)

    def _gpus(self, job: StartJob) -> Literal["none", "all"]:
        wanted = job.docker_run_options_preset == "nvidia_all"
        return "all" if wanted and not self._config.no_gpu else "none"

    async def _report(self, failure: Failure) -> None:
        log.info("job failed", stage=self._stage, reason=failure.reason, message=failure.message)
        match failure:
            case JobFailure():
                await self._link.send(JobFailedReport.of(self.uuid, failure))
            case HordeFailure():
                await self._link.send(HordeFailed.of(self.uuid, failure))
            case _:
                raise TypeError("an executor cannot reject a job")

    def _horde_failure(
        self,
        message: str,
        reason: HordeFailureReason = HordeFailureReason.GENERIC_ERROR,
        **context: str,
    ) -> HordeFailure:
        return HordeFailure(
            reported_by=Participant.EXECUTOR,
            reason=reason,
            message=message,
            context={**context, "stage": self._stage},
        )

    @contextmanager
    def _refusing(self, what: str) -> Iterator[None]:
        """A value out of bounds is a job that should never have come so far."""
        try:
            yield
        except ValueError as fault:
            raise JobFailed(self._horde_failure(f"{what}: {str(fault)[:1000]}")) from None

    @asynccontextmanager
    async def _within(self, seconds: float, otherwise: Failure) -> AsyncIterator[None]:
        try:
            async with self._clock.timeout(seconds):
                yield
        except TimeoutError:
            raise JobFailed(otherwise) from None


def _program(job: StartJob) -> Program:
    return Program(
        image=job.docker_image,
        arguments=tuple(job.docker_run_cmd),
        env=job.env,
        script=job.raw_script,
        artifacts_dir=job.artifacts_dir or "",
    )


def _host() -> Host:
    return Host(memory_bytes=machine.memory_bytes(), cpus=machine.cpu_count())

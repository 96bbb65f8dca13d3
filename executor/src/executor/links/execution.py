"""The run of a job in its container, with all that goes on beside it: its output and progress on
their way to the miner, its disk watched, and for streaming jobs a door for the client."""

import asyncio
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext, suppress
from typing import Literal

import structlog

from compute_horde_common.containers.interface import ContainerSpec, EngineError, Logs
from compute_horde_common.jobs.executor_classes import executor_class
from compute_horde_common.jobs.failures import JobFailed, JobFailure, Stage
from compute_horde_common.jobs.spec import StreamingDetails
from compute_horde_common.jobs.timing import Deadline, Limits
from compute_horde_common.links.link import Link
from compute_horde_common.protocol.miner_executor import ExecutorToMiner, MinerToExecutor
from compute_horde_common.protocol.validator_miner import OfferJob, StartJob, StreamingReady
from compute_horde_common.transfer.tree import JobTree
from executor import machine
from executor.links.bench import Bench, refusing
from executor.links.live import LAST_SECONDS, LiveReport
from executor.stages.disk import watch_disk
from executor.stages.logs import read_logs
from executor.stages.run import (
    alongside,
    before_end,
    created,
    start,
    stop,
    until_end,
    with_output,
)
from executor.stages.sandbox import Host, Program, container_for, limits_for
from executor.stages.streaming import joined, network_for, streaming

log = structlog.get_logger(__name__)


class Execution:
    """One job's container.

    Args:
        offer: what the miner offered.
        link: to the miner.
        bench: what the job is done with.
        cleanup: what has to be undone at the end.

    Attributes:
        container_id: the container, once there is one.
        over: set once the job has ended, and its last words are said.
        can_be_reached: whether a streaming job was announced to its author.
    """

    def __init__(
        self,
        offer: OfferJob,
        link: Link[MinerToExecutor, ExecutorToMiner],
        bench: Bench,
        cleanup: AsyncExitStack,
    ) -> None:
        self.container_id: str | None = None
        self.over = asyncio.Event()
        self.can_be_reached = False
        self._offer = offer
        self._link = link
        self._bench = bench
        self._config = bench.config
        self._engine = bench.engine
        self._clock = bench.clock
        self._cleanup = cleanup

    async def run(
        self, job: StartJob, tree: JobTree, limits: Limits, deadline: Deadline, longest: int | None
    ) -> str:
        """The id of the container, once it has ended well.

        Args:
            job: what to run.
            tree: its files.
            limits: the job's.
            deadline: by when it must have ended.
            longest: how many seconds it may run, where it has a limit of its own for that.

        Raises:
            JobFailed: it did not end well; what it wrote is in the failure.
            EngineError: the container could not be made or watched.
        """
        network = await self._cleanup.enter_async_context(self._network())
        spec = self._spec(job, tree, network)
        made = created(self._engine, spec, self._clock)
        container_id = self.container_id = await self._cleanup.enter_async_context(made)
        try:
            await start(self._engine, container_id)
            end = self._to_the_end(container_id, network, limits, deadline, longest)
            await self._told_meanwhile(end, container_id, tree)
        except JobFailed as failed:
            if not isinstance(failed.failure, JobFailure):
                raise
            told = await with_output(failed.failure, self._engine, container_id, self._clock)
            raise JobFailed(told) from None
        return container_id

    async def stopped_gently(self) -> Logs | None:
        """Ends a container that runs, with the grace of a cancelled job; what it wrote."""
        if self.container_id is None:
            return None
        grace = self._config.cancel_grace_seconds
        with suppress(EngineError):
            await stop(self._engine, self.container_id, grace=grace, clock=self._clock)
            with suppress(TimeoutError):
                async with self._clock.timeout(LAST_SECONDS):
                    await self.over.wait()
            return await read_logs(self._engine, self.container_id, self._clock)
        log.warning("container could not be stopped gently")
        return None

    async def _told_meanwhile(
        self, end: Coroutine[None, None, None], container_id: str, tree: JobTree
    ) -> None:
        """The end of the job; until then, and with its last words, the miner hears of it."""
        failed: JobFailed | None = None
        async with self._live(container_id, tree):
            try:
                await alongside(end, self._watch_disk(container_id, tree))
            except JobFailed as failure:
                failed = failure
                await self._engine.kill(container_id)
        self.over.set()
        if failed is not None:
            raise failed

    def _network(self) -> AbstractAsyncContextManager[str]:
        if self._offer.streaming_details is None:
            return nullcontext("none")
        return network_for(self._engine, self._config, self._offer.job_uuid)

    def _spec(self, job: StartJob, tree: JobTree, network: str) -> ContainerSpec:
        promised = executor_class(job.executor_class)
        with refusing(Stage.EXECUTION, "The job cannot be put into a container"):
            spec = container_for(
                _program(job),
                tree,
                self._config,
                job_uuid=self._offer.job_uuid,
                limits=limits_for(promised, self._config, _host()),
                gpus=self._gpus(job),
            )
        return joined(spec, network)

    def _live(self, container_id: str, tree: JobTree) -> AbstractAsyncContextManager[None]:
        """What the miner hears meanwhile, if it wants to."""
        if not self._bench.job_control:
            return nullcontext()
        return LiveReport(
            self._link, self._offer.job_uuid, self._engine, container_id, tree.specs, self._clock
        ).running()

    async def _to_the_end(
        self,
        container_id: str,
        network: str,
        limits: Limits,
        deadline: Deadline,
        longest: int | None,
    ) -> None:
        to_start = max(0.0, deadline.left(self._clock.now()) - limits.execution)
        async with AsyncExitStack() as door:
            if (details := self._offer.streaming_details) is not None:
                opening = self._open(details, container_id, network, to_start, door)
                await before_end(opening, self._engine, container_id)
            left = deadline.left(self._clock.now())
            within = left if longest is None else min(left, longest)
            await until_end(self._engine, container_id, within=within, clock=self._clock)

    async def _open(
        self,
        details: StreamingDetails,
        container_id: str,
        network: str,
        within: float,
        door: AsyncExitStack,
    ) -> None:
        """Lets the job's author in, and tells where."""
        endpoint = await door.enter_async_context(
            streaming(
                self._engine,
                container_id,
                network,
                details,
                self._config,
                within=within,
                clock=self._clock,
            )
        )
        self.can_be_reached = True
        await self._link.send(
            StreamingReady(
                job_uuid=self._offer.job_uuid,
                public_key=endpoint.certificate,
                port=endpoint.port,
            )
        )

    async def _watch_disk(self, container_id: str, tree: JobTree) -> None:
        limit = self._config.job_disk_bytes
        await watch_disk(self._engine, container_id, tree, limit, self._clock)

    def _gpus(self, job: StartJob) -> Literal["none", "all"]:
        wanted = job.docker_run_options_preset == "nvidia_all"
        return "all" if wanted and not self._config.no_gpu else "none"


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

"""One executor in this process: how soon a cancelled job is gone, and how soon a job whose input
is kept here can start."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from bench.file_server import file_server
from bench.measure import Stopwatch, percentile
from compute_horde_common.clock import SystemClock
from compute_horde_common.containers.docker import DockerEngine
from compute_horde_common.jobs.timing import Limits
from compute_horde_common.jobs.volumes import SingleFileVolume
from compute_horde_common.links.link import Link
from compute_horde_common.links.memory import pipe_pair
from compute_horde_common.protocol.base import Codec
from compute_horde_common.protocol.live import CancelJob, JobLog
from compute_horde_common.protocol.miner_executor import ExecutorToMiner, MinerToExecutor
from compute_horde_common.protocol.receipts import JobStartedReceiptPayload
from compute_horde_common.protocol.validator_miner import (
    ExecutorReady,
    ExecutorTiming,
    JobFinished,
    OfferJob,
    StartJob,
    VolumesReady,
)
from executor.config import ExecutorConfig
from executor.links.bench import Bench
from executor.links.miner import serve_miner

CANCELLED_JOBS = 20
INPUT_BYTES = 200_000_000
PATIENCE = 120

_CLASS = "always_on.test"
_OBEDIENT = "trap 'exit 0' TERM; echo begun; while :; do sleep 0.1; done"
_STUBBORN = "trap '' TERM; echo begun; while :; do sleep 0.1; done"

Miner = Link[ExecutorToMiner, MinerToExecutor]


async def executor_figures(image: str, data: Path) -> dict[str, float]:
    """Seconds."""
    work_dir, cache = data / "work", data / "cache"
    work_dir.mkdir()
    cache.mkdir()
    config = ExecutorConfig(
        miner_address="ws://unused",
        token="",
        owner="bench",
        work_dir=work_dir,
        input_cache=cache,
        allow_private_addresses=True,
    )
    async with DockerEngine() as engine:
        stand = _Stand(engine, config, image)
        return {
            **await _cancelling(stand, "obedient", _OBEDIENT),
            **await _cancelling(stand, "stubborn", _STUBBORN),
            **await _starting_again(stand, data),
        }


class _Stand:
    """Executors, one after another, each with the miner's end of its pipe."""

    def __init__(self, engine: DockerEngine, config: ExecutorConfig, image: str) -> None:
        self._engine = engine
        self._config = config
        self._image = image
        self._clock = SystemClock()

    @asynccontextmanager
    async def executor(self) -> AsyncIterator[tuple[Miner, asyncio.Task[None]]]:
        """The miner's end, and the executor: it ends when nothing of its job is left."""
        near, far = pipe_pair()
        miner: Miner = Link(near, Codec(ExecutorToMiner), clock=self._clock)
        link: Link[MinerToExecutor, ExecutorToMiner] = Link(
            far, Codec(MinerToExecutor), clock=self._clock
        )
        config = replace(self._config, token=uuid4().hex)
        bench = Bench(config, self._engine, self._clock, job_control=True)
        serving = asyncio.create_task(serve_miner(link, bench))
        try:
            yield miner, serving
        finally:
            serving.cancel()
            await asyncio.wait({serving})

    def offer(self, job_uuid: str) -> OfferJob:
        """A job of this image."""
        receipt = JobStartedReceiptPayload(
            job_uuid=job_uuid,
            miner_hotkey="miner",
            validator_hotkey="validator",
            timestamp=datetime.now(UTC),
            executor_class=_CLASS,
            is_organic=True,
            ttl=60,
        )
        return OfferJob(
            job_uuid=job_uuid,
            executor_class=_CLASS,
            docker_image=self._image,
            job_started_receipt_payload=receipt,
            job_started_receipt_signature="0x00",
            executor_timing=ExecutorTiming.of(Limits(download=60, execution=60, upload=10)),
        )

    def start(self, job_uuid: str, script: str, volume: SingleFileVolume | None = None) -> StartJob:
        """What it runs, and its input."""
        return StartJob(
            job_uuid=job_uuid,
            executor_class=_CLASS,
            docker_image=self._image,
            docker_run_options_preset="none",
            docker_run_cmd=["sh", "-c", script],
            volume=volume,
        )


async def _cancelling(stand: _Stand, kind: str, script: str) -> dict[str, float]:
    taken = [await _cancelled(stand, script) for _ in range(CANCELLED_JOBS)]
    return {
        f"cancel, {kind} job, to gone p50 (s)": percentile(taken, 50),
        f"cancel, {kind} job, to gone p99 (s)": percentile(taken, 99),
    }


async def _cancelled(stand: _Stand, script: str) -> float:
    """Seconds from the cancellation until container and files are gone."""
    job_uuid = str(uuid4())
    async with stand.executor() as (miner, serving), asyncio.timeout(PATIENCE):
        await miner.send(stand.offer(job_uuid))
        await miner.expect(ExecutorReady, within=PATIENCE)
        await miner.send(stand.start(job_uuid, script))
        await miner.expect(JobLog, within=PATIENCE)
        watch = Stopwatch()
        await miner.send(CancelJob(job_uuid=job_uuid))
        await serving
        return watch.seconds


async def _starting_again(stand: _Stand, data: Path) -> dict[str, float]:
    served = data / "served"
    served.mkdir()
    (served / "model").write_bytes(bytes(INPUT_BYTES))
    with file_server(served) as url:
        volume = SingleFileVolume(url=f"{url}/model", relative_path="model")
        first, *later = [await _started(stand, volume) for _ in range(6)]
    return {
        "inputs there, 200 MB, first job (s)": first,
        "inputs there, 200 MB, later job p50 (s)": percentile(later, 50),
    }


async def _started(stand: _Stand, volume: SingleFileVolume) -> float:
    """Seconds from the miner's order until the inputs are there."""
    job_uuid = str(uuid4())
    async with stand.executor() as (miner, serving), asyncio.timeout(PATIENCE):
        await miner.send(stand.offer(job_uuid))
        await miner.expect(ExecutorReady, within=PATIENCE)
        watch = Stopwatch()
        await miner.send(stand.start(job_uuid, "true", volume))
        await miner.expect(VolumesReady, within=PATIENCE)
        seconds = watch.seconds
        await miner.expect(JobFinished, within=PATIENCE)
        await serving
        return seconds

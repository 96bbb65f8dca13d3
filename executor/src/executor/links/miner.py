"""The executor's side of its conversation with a miner: one offer, one job, one report.

The job itself is told in `job`.
"""

import asyncio
from contextlib import AsyncExitStack
from typing import Final, assert_never

import structlog

from compute_horde_common.links.link import Link, LinkClosed, LinkTimeout
from compute_horde_common.protocol.live import CancelJob
from compute_horde_common.protocol.miner_executor import ExecutorToMiner, MinerToExecutor
from compute_horde_common.protocol.validator_miner import GenericError, OfferJob, StartJob
from compute_horde_common.telemetry.logs import bind
from executor import machine
from executor.config import ExecutorConfig
from executor.links.bench import Bench
from executor.links.job import Job

MinerLink = Link[MinerToExecutor, ExecutorToMiner]

_IDLE_SECONDS: Final = 3600

log = structlog.get_logger(__name__)


class MinerLost(Exception):
    """The miner went away, or turned this executor away, and no job was finished."""


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
                await _while_connected(link, Job(offer, link, bench, cleanup, looking))
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
            case StartJob() | CancelJob():
                await _complain(link, "no job was offered yet")
            case never:
                assert_never(never)


async def _while_connected(link: MinerLink, job: Job) -> None:
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


async def _listen(link: MinerLink, job: Job) -> None:
    """Hears the miner for as long as the job runs; returns when the socket is closed."""
    async for message in link:
        match message:
            case StartJob() | CancelJob() if message.job_uuid != job.uuid:
                await _complain(link, "this executor has another job")
            case CancelJob():
                job.cancelled.set()
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

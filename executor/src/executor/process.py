"""The process around one job: it reads its environment, reaches the miner, and leaves nothing
behind when it is told to stop.

Exit status: 0 a job was reported, or the miner let us go; 1 the miner was lost or cannot be
reached, or something of the job could not be removed; 2 the environment is wrong; 3 this host
cannot run jobs; 143 or 130 ended by SIGTERM or SIGINT, after cleaning up.
"""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import timedelta

import structlog

from compute_horde_common.clock import Clock, SystemClock
from compute_horde_common.containers.interface import ContainerEngine
from compute_horde_common.links.link import Link, LinkError, Pipe
from compute_horde_common.links.websocket import DialFailed, WebsocketPipe, dial
from compute_horde_common.protocol.base import Codec
from compute_horde_common.protocol.live import JOB_CONTROL
from compute_horde_common.protocol.miner_executor import MAX_FRAME, HostUnfit, MinerToExecutor
from compute_horde_common.protocol.validator_miner import GenericError
from compute_horde_common.telemetry import logs
from compute_horde_common.transfer.errors import StorageFailed
from executor import wiring
from executor.config import ENVIRONMENT, ConfigurationError, ExecutorConfig
from executor.links.bench import Bench
from executor.links.miner import MinerLink, MinerLost, serve_miner
from executor.safety import HostUnfit as Unfit
from executor.safety import check_host
from executor.stages.run import ContainerLeft

DONE = 0
TROUBLE = 1
WRONG_ENVIRONMENT = 2
HOST_UNFIT = 3

_OPEN_SECONDS = 10.0
_WAITS_BETWEEN_TRIES = (0.5, 1.0, 2.0, 4.0)
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_SIGNAL_STATUS = 128

log = structlog.get_logger(__name__)


def main(arguments: Sequence[str]) -> int:
    """Runs one job, as the environment says; returns the exit status."""
    _parser().parse_args(arguments)
    try:
        config = ExecutorConfig.from_environment()
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return WRONG_ENVIRONMENT
    logs.set_up(config.log_format, config.log_level)
    return asyncio.run(_until_signal(config))


async def _until_signal(config: ExecutorConfig) -> int:
    """The exit status; a signal ends the work, but not the clearing up after it."""
    work = asyncio.ensure_future(_work(config, SystemClock()))
    received: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        received.append(number)
        work.cancel()

    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop, number)
    await asyncio.wait([work])
    if work.cancelled():
        log.info("stopped by signal", signal=received[0].name if received else None)
        return _SIGNAL_STATUS + (received[0] if received else signal.SIGTERM)
    return work.result()


async def _work(config: ExecutorConfig, clock: Clock) -> int:
    try:
        async with AsyncExitStack() as stack:
            engine = await stack.enter_async_context(wiring.container_engine(config))
            faults = await _faults_of_host(engine, config)
            pipe = await _reach_miner(config, clock, stack)
            bench = Bench(config, engine, clock, pipe.subprotocol == JOB_CONTROL)
            if faults:
                await _complain(_link(pipe, clock), faults, bench)
                return HOST_UNFIT
            await serve_miner(_link(pipe, clock), bench)
    except DialFailed as failure:
        log.error("miner cannot be reached", reason=failure.reason)  # noqa: TRY400
        return TROUBLE
    except (MinerLost, LinkError) as failure:
        log.warning("miner lost", reason=str(failure))
        return TROUBLE
    except (ContainerLeft, StorageFailed) as failure:
        log.error("something of the job is left", reason=str(failure))  # noqa: TRY400
        return TROUBLE
    return DONE


async def _faults_of_host(engine: ContainerEngine, config: ExecutorConfig) -> list[str]:
    """Why this host cannot run jobs; nothing if it can."""
    try:
        await check_host(engine, config)
    except Unfit as unfit:
        log.error("host is unfit for jobs", reason=str(unfit))  # noqa: TRY400 - it says enough
        return list(unfit.reasons)
    return []


async def _complain(link: MinerLink, faults: list[str], bench: Bench) -> None:
    """Tells the miner not to offer this host, if it can understand that."""
    if bench.job_control:
        await link.send(HostUnfit(reasons=faults))


async def _reach_miner(
    config: ExecutorConfig, clock: Clock, stack: AsyncExitStack
) -> WebsocketPipe:
    """The socket to the miner, after a few tries; it is closed with the stack.

    Raises:
        DialFailed: the last try failed, too.
    """
    for wait in _WAITS_BETWEEN_TRIES:
        try:
            return await stack.enter_async_context(_dialled(config))
        except DialFailed as failure:
            log.warning("miner not reached yet", reason=failure.reason, next_try_in=wait)
        await clock.sleep_until(clock.now() + timedelta(seconds=wait))
    return await stack.enter_async_context(_dialled(config))


def _dialled(config: ExecutorConfig) -> AbstractAsyncContextManager[WebsocketPipe]:
    return dial(
        config.url, subprotocols=[JOB_CONTROL], max_frame=MAX_FRAME, open_timeout=_OPEN_SECONDS
    )


def _link(pipe: Pipe, clock: Clock) -> MinerLink:
    return Link(
        pipe,
        Codec(MinerToExecutor),
        clock=clock,
        complain=lambda reason: GenericError(details=reason),
    )


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, ENVIRONMENT))
    lines = [f"  {name:<{width}}  {meaning}" for name, meaning in ENVIRONMENT.items()]
    return argparse.ArgumentParser(
        prog="python -m executor",
        description="Takes one job from a miner, runs it in a container, and ends.",
        epilog="environment:\n" + "\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

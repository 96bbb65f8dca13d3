"""The run itself: a container is made, lives for as long as the job may take, and always goes."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager

from compute_horde_common.clock import Clock
from compute_horde_common.containers.interface import (
    ContainerEngine,
    ContainerFailedToStart,
    ContainerSpec,
    EngineError,
    Exit,
)
from compute_horde_common.jobs.failures import JobFailed, JobFailure, JobFailureReason, Stage
from executor.stages.logs import read_logs

REMOVAL_SECONDS = 60
_STATUS_OF_A_PROGRAM_THAT_NEVER_RAN = 127


class ContainerLeft(Exception):
    """A job's container could not be removed; its owner has to, by its labels."""


@asynccontextmanager
async def created(engine: ContainerEngine, spec: ContainerSpec, clock: Clock) -> AsyncIterator[str]:
    """The id of a new container, which is removed at the end of the block, running or not.

    A creation that is cancelled half-way is waited for, because Docker goes on with it.

    Raises:
        ContainerLeft: it could not be removed.
        EngineError: it could not be made.
    """
    creating = asyncio.ensure_future(engine.create(spec))
    try:
        yield await asyncio.shield(creating)
    finally:
        await _undisturbed(_remove(engine, creating, clock))


async def _undisturbed(work: Coroutine[None, None, None]) -> None:
    """Returns once the work is done; a cancellation meanwhile takes effect after it."""
    doing = asyncio.ensure_future(work)
    cancelled = False
    while not doing.done():
        try:
            await asyncio.wait([doing])
        except asyncio.CancelledError:
            cancelled = True
    doing.result()
    if cancelled:
        raise asyncio.CancelledError


async def _remove(engine: ContainerEngine, creating: asyncio.Future[str], clock: Clock) -> None:
    try:
        async with clock.timeout(REMOVAL_SECONDS):
            await asyncio.wait([creating])
            if creating.cancelled() or creating.exception() is not None:
                return
            await engine.remove(creating.result())
    except (EngineError, TimeoutError) as failure:
        raise ContainerLeft(str(failure)) from failure


async def run_to_end(
    engine: ContainerEngine, container_id: str, *, within: float, clock: Clock
) -> None:
    """Starts the container and returns once it has ended with exit status 0.

    Raises:
        JobFailed: it took longer than ``within`` seconds, ended otherwise, or had no program.
    """
    try:
        async with clock.timeout(within):
            await engine.start(container_id)
            end = await engine.wait(container_id)
    except TimeoutError:
        await engine.kill(container_id)
        raise await _timed_out(engine, container_id, within, clock) from None
    except ContainerFailedToStart as failure:
        raise JobFailed(
            JobFailure(
                reason=JobFailureReason.NONZERO_RETURN_CODE,
                stage=Stage.EXECUTION,
                message=f"The container's program could not be started: {str(failure)[:1000]}",
                docker_process_exit_status=_STATUS_OF_A_PROGRAM_THAT_NEVER_RAN,
            )
        ) from None
    if end.code:
        raise await _ended_badly(engine, container_id, end, clock)


async def _timed_out(
    engine: ContainerEngine, container_id: str, within: float, clock: Clock
) -> JobFailed:
    logs = await read_logs(engine, container_id, clock)
    return JobFailed(
        JobFailure(
            reason=JobFailureReason.TIMEOUT,
            stage=Stage.EXECUTION,
            message=f"The job was still running after its execution limit of {within:.0f} s",
            docker_process_stdout=logs.stdout,
            docker_process_stderr=logs.stderr,
        )
    )


async def _ended_badly(
    engine: ContainerEngine, container_id: str, end: Exit, clock: Clock
) -> JobFailed:
    logs = await read_logs(engine, container_id, clock)
    message = f"The job exited with status {end.code}"
    if end.oom_killed:
        message = f"The job was killed for exceeding its memory limit (exit status {end.code})"
    return JobFailed(
        JobFailure(
            reason=JobFailureReason.NONZERO_RETURN_CODE,
            stage=Stage.EXECUTION,
            message=message,
            context={"oom_killed": True} if end.oom_killed else None,
            docker_process_exit_status=end.code,
            docker_process_stdout=logs.stdout,
            docker_process_stderr=logs.stderr,
        )
    )

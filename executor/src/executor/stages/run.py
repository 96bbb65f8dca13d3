"""The run itself: a container is made, lives for as long as the job may take, and always goes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine
from contextlib import asynccontextmanager
from typing import TypeVar

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
STOP_SECONDS = 30
"""How long Docker may take to end a container beyond its grace."""
_STATUS_OF_A_PROGRAM_THAT_NEVER_RAN = 127

Result = TypeVar("Result")


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
        await undisturbed(_remove(engine, creating, clock))


async def undisturbed(work: Coroutine[None, None, None]) -> None:
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


async def start(engine: ContainerEngine, container_id: str) -> None:
    """Returns once the job's program runs.

    Raises:
        JobFailed: it has none.
    """
    try:
        await engine.start(container_id)
    except ContainerFailedToStart as failure:
        raise JobFailed(
            JobFailure(
                reason=JobFailureReason.NONZERO_RETURN_CODE,
                stage=Stage.EXECUTION,
                message=f"The container's program could not be started: {str(failure)[:1000]}",
                docker_process_exit_status=_STATUS_OF_A_PROGRAM_THAT_NEVER_RAN,
            )
        ) from None


async def until_end(
    engine: ContainerEngine, container_id: str, *, within: float, clock: Clock
) -> None:
    """Returns once a started container has ended with exit status 0.

    Raises:
        JobFailed: it took longer than ``within`` seconds, or ended otherwise.
    """
    try:
        async with clock.timeout(within):
            end = await engine.wait(container_id)
    except TimeoutError:
        raise JobFailed(
            JobFailure(
                reason=JobFailureReason.TIMEOUT,
                stage=Stage.EXECUTION,
                message=f"The job was still running after its execution limit of {within:.0f} s",
            )
        ) from None
    if end.code:
        raise JobFailed(_ended_badly(end))


async def before_end(
    doing: Coroutine[None, None, None], engine: ContainerEngine, container_id: str
) -> None:
    """Returns once ``doing`` is done, which is in vain when the container ends before.

    Raises:
        JobFailed: it ended before.
    """
    task = asyncio.ensure_future(doing)
    ending = asyncio.ensure_future(engine.wait(container_id))
    try:
        await asyncio.wait({task, ending}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        end = ending.result()
    finally:
        task.cancel()
        ending.cancel()
        await asyncio.wait({task, ending})
    raise JobFailed(_ended_badly(end) if end.code else _ended_early())


async def alongside(main: Awaitable[Result], *watchers: Coroutine[None, None, None]) -> Result:
    """The result of ``main``; then watchers are cancelled. What one of them raises ends it."""
    try:
        async with asyncio.TaskGroup() as group:
            watching = [group.create_task(watcher) for watcher in watchers]
            result = await main
            for task in watching:
                task.cancel()
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return result


async def stop(engine: ContainerEngine, container_id: str, *, grace: float, clock: Clock) -> None:
    """SIGTERM, and SIGKILL after ``grace`` seconds; returns once the container has ended.

    Raises:
        EngineError: it has not.
    """
    try:
        async with clock.timeout(grace + STOP_SECONDS):
            await engine.stop(container_id, grace=grace)
    except TimeoutError:
        await engine.kill(container_id)


async def with_output(
    failure: JobFailure, engine: ContainerEngine, container_id: str, clock: Clock
) -> JobFailure:
    """The failure together with what the container wrote; the container is killed first."""
    await engine.kill(container_id)
    logs = await read_logs(engine, container_id, clock)
    return failure.model_copy(
        update={"docker_process_stdout": logs.stdout, "docker_process_stderr": logs.stderr}
    )


def _ended_early() -> JobFailure:
    return JobFailure(
        reason=JobFailureReason.UNKNOWN,
        stage=Stage.STREAMING_STARTUP,
        message="The streaming job ended before it answered /health",
        docker_process_exit_status=0,
    )


def _ended_badly(end: Exit) -> JobFailure:
    message = f"The job exited with status {end.code}"
    if end.oom_killed:
        message = f"The job was killed for exceeding its memory limit (exit status {end.code})"
    return JobFailure(
        reason=JobFailureReason.NONZERO_RETURN_CODE,
        stage=Stage.EXECUTION,
        message=message,
        context={"oom_killed": True} if end.oom_killed else None,
        docker_process_exit_status=end.code,
    )

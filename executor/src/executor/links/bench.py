"""What a job is done with, and how its failures are told."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from compute_horde_common.clock import Clock
from compute_horde_common.containers.interface import ContainerEngine
from compute_horde_common.jobs.failures import (
    Failure,
    HordeFailure,
    HordeFailureReason,
    JobFailed,
    Participant,
    Stage,
)
from executor.config import ExecutorConfig

_LONGEST_FAULT = 1000


@dataclass(frozen=True, slots=True)
class Bench:
    """What a job is done with. ``job_control``: the miner understands `protocol.live`."""

    config: ExecutorConfig
    engine: ContainerEngine
    clock: Clock
    job_control: bool = False


def horde_failure(
    stage: Stage,
    message: str,
    reason: HordeFailureReason = HordeFailureReason.GENERIC_ERROR,
    **context: str,
) -> HordeFailure:
    """A failure that is not the job's own fault."""
    return HordeFailure(
        reported_by=Participant.EXECUTOR,
        reason=reason,
        message=message,
        context={**context, "stage": stage},
    )


@contextmanager
def refusing(stage: Stage, what: str) -> Iterator[None]:
    """A value out of bounds is a job that should never have come so far."""
    try:
        yield
    except ValueError as fault:
        told = f"{what}: {str(fault)[:_LONGEST_FAULT]}"
        raise JobFailed(horde_failure(stage, told)) from None


@asynccontextmanager
async def within(clock: Clock, seconds: float, otherwise: Failure) -> AsyncIterator[None]:
    """A block that fails the job when it takes too long."""
    try:
        async with clock.timeout(seconds):
            yield
    except TimeoutError:
        raise JobFailed(otherwise) from None

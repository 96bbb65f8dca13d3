"""A fleet without executors: what the keeper would have done, done to the rows."""

from datetime import datetime
from uuid import uuid4

from miner.domain.slots import StartExecutor
from miner.models import Executor, Slot
from miner.services import executors
from tests.examples import CLASS


def slots(count: int = 1, class_name: str = CLASS) -> None:
    """Makes so many slots, and no others."""
    executors.ensure_slots({class_name: count})


def executor(at: datetime, index: int = 0) -> str:
    """Begins to start an executor in a slot; returns its token."""
    slot = Slot.objects.get(index=index)
    token = str(uuid4())
    planned = StartExecutor(slot.id, slot.executor_class, None)
    assert executors.plan_start(planned, token=token, manager="none", at=at)
    return token


def warm(at: datetime, index: int = 0, *, job_control: bool = False) -> str:
    """An executor that waits connected; returns its token."""
    token = executor(at, index)
    assert executors.connect(token, at, job_control=job_control)
    return token


def state_of(token: str) -> str:
    """Where an executor is."""
    return Executor.objects.get(token=token).state

"""Slots given to jobs and taken back. Used within the transactions of `jobs` and `executors`."""

from datetime import datetime, timedelta

from django.db.models import Case, Exists, F, OuterRef, QuerySet, Value, When

from compute_horde_common.contrib.django.mailbox import wake_on_commit
from miner.domain.slots import EXIT_SECONDS, ExecutorState
from miner.models import Executor, Job, Slot
from miner.services.topics import FLEET, executor_topic


def lease_slot(job: Job, expires: datetime) -> bool:
    """Saves a new job with a free slot of its class, and gives it the executor that waits there;
    false if no slot is free."""
    slot = _free_slot(job.executor_class)
    if slot is None:
        return False
    job.save(force_insert=True)
    Slot.objects.filter(id=slot.id).update(lease=job, lease_expires=expires)
    _assign(job, slot)
    wake_on_commit(FLEET)
    return True


def release(slot_id: int, job: Job) -> bool:
    """Ends a job's lease; false if the job does not have the slot."""
    return bool(Slot.objects.filter(id=slot_id, lease=job).update(lease=None, lease_expires=None))


def free_slot(job: Job, at: datetime) -> None:
    """Ends the lease of a job whose executor has said how it ended, and leaves by itself."""
    Slot.objects.filter(lease=job).update(lease=None, lease_expires=None)
    leaving = at + timedelta(seconds=EXIT_SECONDS)
    Executor.objects.filter(job=job, deadline=None).update(deadline=leaving)
    wake_on_commit(FLEET)


def _free_slot(class_name: str) -> Slot | None:
    waiting = Executor.objects.filter(slot=OuterRef("id"), state=ExecutorState.WAITING)
    free = (
        Slot.objects.filter(executor_class=class_name, offered=True, unfit="", lease=None)
        .annotate(warm=Exists(waiting))
        .order_by("-warm", "id")
    )
    quick = _lock(free, skip_locked=True)[:1]
    # Whoever locks a free slot may yet leave it free: without one of ours, wait for them.
    return next(iter(quick), None) or next(iter(_lock(free.order_by("id"))), None)


def _lock(slots: QuerySet[Slot], *, skip_locked: bool = False) -> QuerySet[Slot]:
    return slots.select_for_update(skip_locked=skip_locked, of=("self",), no_key=True)


def _assign(job: Job, slot: Slot) -> None:
    # One statement: an executor that connects meanwhile is found in either state.
    waits = When(state=ExecutorState.WAITING, then=Value(ExecutorState.ASSIGNED.value))
    idle = [ExecutorState.STARTING, ExecutorState.WAITING]
    Executor.objects.filter(slot=slot, job=None, state__in=idle).update(
        job=job, state=Case(waits, default=F("state"))
    )
    for token in Executor.objects.filter(job=job).values_list("token", flat=True):
        wake_on_commit(executor_topic(token))

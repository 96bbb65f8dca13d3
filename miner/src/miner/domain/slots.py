"""Slots: the right to run one executor each. What has to be done so that every lease gets its
executor, every warm class has one waiting, and nothing is held longer than it may be."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from compute_horde_common.jobs.executor_classes import executor_class
from compute_horde_common.jobs.failures import HordeFailure, HordeFailureReason, Participant
from compute_horde_common.jobs.timing import LEEWAY_SECONDS, STARTUP_SECONDS
from compute_horde_common.protocol.validator_miner import OfferJob
from miner.domain.progress import JobState

START_JOB_SECONDS = 60
"""How long a ready executor waits for its job: a validator may have to reconnect before."""
LEEWAY = 10
"""What the miner adds to limits that validator and executor watch themselves, in seconds."""
EXIT_SECONDS = 15
"""How long an executor may clean up after its last message."""
UNFIT_PAUSE = timedelta(seconds=60)
"""How long an unfit host is left alone, before another executor looks at it."""
FIT_AFTER = timedelta(seconds=5)
"""An executor that has waited for so long has nothing to say against its host."""


class ExecutorState(StrEnum):
    """Where an executor is: not yet connected, connected without a job, connected with one,
    no longer connected, no longer there."""

    STARTING = "starting"
    WAITING = "waiting"
    ASSIGNED = "assigned"
    LEAVING = "leaving"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Lease:
    """A slot's job. ``abandoned``: it ended, and its executor did not say so."""

    job: str
    state: JobState
    deadline: datetime
    expires: datetime
    ended_at: datetime | None
    abandoned: bool


@dataclass(frozen=True, slots=True)
class Executor:
    """A slot's executor. ``deadline`` is when it must have left its present state."""

    token: str
    state: ExecutorState
    deadline: datetime | None
    job: str | None
    connected_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot, with all that is known about it. ``index`` counts the slots of a class;
    ``unfit_at`` is when an executor last said that the host is unfit, if it is."""

    id: int
    executor_class: str
    offered: bool
    lease: Lease | None
    executor: Executor | None
    index: int = 0
    unfit_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class EndJob:
    """A job is out of time."""

    job: str
    failure: HordeFailure


@dataclass(frozen=True, slots=True)
class StopExecutor:
    """An executor has to go."""

    token: str


@dataclass(frozen=True, slots=True)
class ReleaseSlot:
    """A lease is over."""

    slot: int
    job: str


@dataclass(frozen=True, slots=True)
class StartExecutor:
    """A slot lacks an executor, for a job or, without one, for the next."""

    slot: int
    executor_class: str
    job: str | None
    index: int = 0


@dataclass(frozen=True, slots=True)
class OfferAgain:
    """A slot's host, found unfit at that time, is fit after all."""

    slot: int
    unfit_at: datetime


Measure = EndJob | StopExecutor | ReleaseSlot | StartExecutor | OfferAgain


def measures(
    slots: Iterable[Slot],
    *,
    at: datetime,
    warm_starts: int,
    held_back: Collection[str] = (),
) -> list[Measure]:
    """What has to be done now, each slot's measures in order.

    Args:
        slots: all of them.
        at: now.
        warm_starts: how many executors may be starting that no job waits for.
        held_back: classes whose executors did not come up of late; none is started but for a job.
    """
    known = list(slots)
    starting = sum(
        slot.executor is not None
        and slot.executor.state is ExecutorState.STARTING
        and slot.executor.job is None
        for slot in known
    )
    room = max(0, warm_starts - starting)
    wanted: list[Measure] = []
    for measure in (measure for slot in known for measure in _for_slot(slot, at)):
        if isinstance(measure, StartExecutor) and measure.job is None:
            if room == 0 or measure.executor_class in held_back:
                continue
            room -= 1
        wanted.append(measure)
    return wanted


def _for_slot(slot: Slot, at: datetime) -> list[Measure]:
    found: list[Measure] = []
    lease = slot.lease
    ended = lease is None or lease.ended_at is not None
    if lease is not None and not ended and min(lease.deadline, lease.expires) <= at:
        found.append(EndJob(lease.job, overdue(lease.state)))
        ended = True
    if slot.executor is not None:
        if _must_go(slot.executor, slot, at):
            found.append(StopExecutor(slot.executor.token))
        elif slot.unfit_at is not None and _is_content(slot.executor, at):
            found.append(OfferAgain(slot.id, slot.unfit_at))
        return found
    if lease is not None:
        end = ReleaseSlot(slot.id, lease.job)
        start = StartExecutor(slot.id, slot.executor_class, lease.job, slot.index)
        found.append(end if ended else start)
    elif slot.offered and _lacks_idle_executor(slot, at):
        found.append(StartExecutor(slot.id, slot.executor_class, None, slot.index))
    return found


def _lacks_idle_executor(slot: Slot, at: datetime) -> bool:
    """A warm class always; any class where somebody has to look whether the host is still unfit."""
    if slot.unfit_at is not None:
        return slot.unfit_at + UNFIT_PAUSE <= at
    return executor_class(slot.executor_class).always_on


def _is_content(executor: Executor, at: datetime) -> bool:
    since = executor.connected_at
    return executor.state is ExecutorState.WAITING and since is not None and since + FIT_AFTER <= at


def _must_go(executor: Executor, slot: Slot, at: datetime) -> bool:
    if executor.deadline is not None and executor.deadline <= at:
        return True
    lease = slot.lease
    if lease is None or executor.job != lease.job:
        if executor.job is None:
            return lease is not None or not slot.offered
        # One that said how its job ended leaves by itself, until its deadline.
        return executor.deadline is None
    if lease.ended_at is None:
        return min(lease.deadline, lease.expires) <= at
    return lease.abandoned or lease.ended_at + timedelta(seconds=EXIT_SECONDS) <= at


def overdue(state: JobState) -> HordeFailure:
    """What is said about a job that did not leave ``state`` in time."""
    if state is JobState.ACCEPTED:
        reason = HordeFailureReason.EXECUTOR_SPINUP_FAILED
        message = "the executor was not ready in time"
    elif state is JobState.READY:
        reason = HordeFailureReason.GENERIC_ERROR
        message = "the executor is ready, but the validator did not send the job"
    else:
        reason = HordeFailureReason.UNHANDLED_TIMEOUT
        message = "the executor did not end in time"
    return HordeFailure(reported_by=Participant.MINER, reason=reason, message=message)


def lost(*, connected: bool) -> HordeFailure:
    """What is said about a job whose executor is gone before its end."""
    if connected:
        reason = HordeFailureReason.EXECUTOR_DISCONNECTED
        message = "the executor is gone"
    else:
        reason = HordeFailureReason.EXECUTOR_SPINUP_FAILED
        message = "the executor did not come up"
    return HordeFailure(reported_by=Participant.MINER, reason=reason, message=message)


def unfit() -> HordeFailure:
    """What is said about a job whose executor finds its host unfit."""
    return HordeFailure(
        reported_by=Participant.MINER,
        reason=HordeFailureReason.EXECUTOR_SPINUP_FAILED,
        message="the executor's host did not pass its checks",
    )


def gpu_share(
    gpus: Sequence[str], slots: Mapping[str, int], class_name: str, index: int
) -> Sequence[str]:
    """The GPUs of one slot, where all slots of GPU classes share them out evenly.

    Args:
        gpus: ids of all of them, not fewer than there are such slots.
        slots: how many slots each GPU class has.
        class_name: the slot's class.
        index: the slot's, among those of its class.
    """
    shares = sum(slots.values())
    if not slots.get(class_name) or not gpus:
        return ()
    earlier = sum(count for name, count in sorted(slots.items()) if name < class_name)
    share = min(earlier + index, shares - 1)
    return gpus[share * len(gpus) // shares : (share + 1) * len(gpus) // shares]


def startup_seconds(class_name: str) -> int:
    """How long an executor of a class may take until it is ready."""
    return executor_class(class_name).spin_up_seconds + STARTUP_SECONDS


def spin_up_deadline(class_name: str, at: datetime) -> datetime:
    """When the executor of a job accepted now must be ready."""
    return at + timedelta(seconds=startup_seconds(class_name) + LEEWAY_SECONDS)


def start_deadline(at: datetime) -> datetime:
    """When a ready executor must have got its job."""
    return at + timedelta(seconds=START_JOB_SECONDS)


def run_deadline(offer: OfferJob, at: datetime) -> datetime:
    """When a job that starts now must have ended."""
    return at + timedelta(seconds=_run_seconds(offer) + LEEWAY)


def lease_end(offer: OfferJob, at: datetime) -> datetime:
    """When a slot that is leased now is free again, whatever happens."""
    until_ready = spin_up_deadline(offer.executor_class, at)
    return run_deadline(offer, start_deadline(until_ready)) + timedelta(seconds=EXIT_SECONDS)


def _run_seconds(offer: OfferJob) -> int:
    if offer.executor_timing is None:
        return offer.timeout_seconds or 0
    return offer.executor_timing.limits().total

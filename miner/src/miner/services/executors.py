"""What happens to slots and executors, one transaction each."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import structlog
from django.db import IntegrityError, transaction
from django.db.models import F, FilteredRelation, Q

from compute_horde_common.contrib.django.mailbox import wake_on_commit
from compute_horde_common.protocol.base import encode
from compute_horde_common.protocol.live import CancelJob
from compute_horde_common.telemetry import metrics
from miner.config import config
from miner.domain import slots as rules
from miner.domain.addresses import clients_address
from miner.domain.progress import JobState
from miner.domain.slots import EXIT_SECONDS, ExecutorState, Measure, StartExecutor
from miner.models import Executor, Job, Slot
from miner.services import jobs, leases
from miner.services.topics import FLEET
from miner.wiring import announced

log = structlog.get_logger(__name__)

KEEP = timedelta(days=2)
UNHEARD_SECONDS = 10
"""How long what a dead executor had said may take to be read from its socket."""
_ACTIVE = [state.value for state in ExecutorState if state is not ExecutorState.GONE]
CONNECTED = [ExecutorState.WAITING.value, ExecutorState.ASSIGNED.value]


class Order(StrEnum):
    """What an executor is told."""

    OFFER = "offer"
    START = "start"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Orders:
    """What an executor's conversation has to do now: nothing, pass a frame on, or end.

    ``job_uuid`` is the executor's job, as soon as it has one.
    """

    job_uuid: str | None
    order: Order | None
    text: str
    over: bool


@dataclass(frozen=True, slots=True)
class Known:
    """An executor that is not gone."""

    token: str
    handle: str
    executor_class: str
    state: ExecutorState
    has_job: bool
    deadline: datetime | None


@transaction.atomic
def ensure_slots(offered: Mapping[str, int]) -> None:
    """Makes the slots that are configured; others are kept until they are free, but not offered."""
    for name, count in offered.items():
        rows = [Slot(executor_class=name, index=index) for index in range(count)]
        Slot.objects.bulk_create(rows, ignore_conflicts=True)
        configured = Slot.objects.filter(executor_class=name)
        configured.filter(index__lt=count, offered=False).update(offered=True)
        configured.filter(index__gte=count, offered=True).update(offered=False)
    Slot.objects.exclude(executor_class__in=list(offered)).update(offered=False)
    Slot.objects.filter(offered=False, lease=None).exclude(executors__state__in=_ACTIVE).delete()


@transaction.atomic
def connect(token: str, at: datetime, *, job_control: bool = False) -> bool:
    """Lets an executor in, once; false for any other token. ``job_control``: it understands a
    cancellation."""
    found = Executor.objects.select_for_update(no_key=True, of=("self",)).filter(
        token=token, state=ExecutorState.STARTING
    )
    executor = found.first()
    if executor is None:
        return False
    executor.state = ExecutorState.ASSIGNED if executor.job_id else ExecutorState.WAITING
    executor.deadline = None
    executor.connected_at = at
    executor.job_control = job_control
    executor.save(update_fields=["state", "deadline", "connected_at", "job_control"])
    log.info("executor connected", executor_class=executor.executor_class, state=executor.state)
    return True


def orders(token: str, told: Collection[Order]) -> Orders:
    """What there is to say to an executor that was ``told`` so much."""
    wanted = "job__start" if Order.OFFER in told else "job__offer"
    row = (
        Executor.objects.filter(token=token, state__in=CONNECTED)
        .values(
            "job__job_uuid",
            "job__ended_at",
            "job__abandoned",
            "job__cancel_requested_at",
            text=F(wanted),
        )
        .first()
    )
    if row is None or row["job__job_uuid"] is None:
        return Orders(None, None, "", over=row is None)
    job_uuid = str(row["job__job_uuid"])
    if row["job__ended_at"] is not None:
        return Orders(job_uuid, None, "", over=bool(row["job__abandoned"]))
    order, text = Order.START, row["text"]
    if Order.OFFER not in told:
        order = Order.OFFER
    elif row["job__cancel_requested_at"] is not None:
        order, text = Order.CANCEL, encode(CancelJob(job_uuid=job_uuid))
    if order in told or not text:
        return Orders(job_uuid, None, "", over=False)
    return Orders(job_uuid, order, text, over=False)


def offer_for_executor(text: str, token: str, seen_from: str) -> tuple[str, str]:
    """A validator's offer as its executor gets it, and where clients of its job find it.

    Of a streaming job, the executor learns that address; it is what the executor's manager says or
    else follows from the one that it connects from.
    """
    frame = json.loads(text)
    if frame.get("streaming_details") is None:
        return text, seen_from
    found = Executor.objects.filter(token=token).values_list("address", flat=True).first()
    address = found or clients_address(
        seen_from,
        configured=config.streaming_address,
        beside_us=config.executor_manager == "docker",
        announced=announced(),
    )
    frame["streaming_details"]["executor_ip"] = address
    return json.dumps(frame, separators=(",", ":")), address


@transaction.atomic
def disconnect(token: str, at: datetime) -> None:
    """Notes that an executor's socket is closed. A job that had not ended ends with that."""
    executor = locked(token)
    if executor is None or executor.state not in [*CONNECTED, ExecutorState.LEAVING]:
        return
    finished = executor.job is not None and executor.job.ended_at is not None
    executor.state = ExecutorState.LEAVING
    executor.deadline = at + timedelta(seconds=EXIT_SECONDS if finished else 0)
    executor.save(update_fields=["state", "deadline"])
    if executor.job is not None and not finished:
        jobs.end(str(executor.job.job_uuid), rules.lost(connected=True), at)
    wake_on_commit(FLEET)


def review(at: datetime, *, warm_starts: int, held_back: Collection[str] = ()) -> list[Measure]:
    """What the fleet needs now."""
    # One statement, so that a slot and its executor are seen at the same moment.
    rows = Slot.objects.annotate(
        active=FilteredRelation("executors", condition=Q(executors__state__in=_ACTIVE))
    ).values(
        "id",
        "executor_class",
        "offered",
        "index",
        "unfit_at",
        "lease_expires",
        job=F("lease__job_uuid"),
        state=F("lease__state"),
        deadline=F("lease__deadline"),
        ended_at=F("lease__ended_at"),
        abandoned=F("lease__abandoned"),
        token=F("active__token"),
        executor_state=F("active__state"),
        executor_deadline=F("active__deadline"),
        executor_job=F("active__job__job_uuid"),
        connected_at=F("active__connected_at"),
    )
    known = [
        rules.Slot(
            id=row["id"],
            executor_class=row["executor_class"],
            offered=row["offered"],
            lease=_lease(row) if row["job"] else None,
            executor=_executor(row) if row["token"] else None,
            index=row["index"],
            unfit_at=row["unfit_at"],
        )
        for row in rows
    ]
    _count(known)
    return rules.measures(known, at=at, warm_starts=warm_starts, held_back=held_back)


def _executor(row: Mapping[str, Any]) -> rules.Executor:
    return rules.Executor(
        token=row["token"],
        state=ExecutorState(row["executor_state"]),
        deadline=row["executor_deadline"],
        job=str(row["executor_job"]) if row["executor_job"] else None,
        connected_at=row["connected_at"],
    )


def _lease(row: Mapping[str, object]) -> rules.Lease:
    deadline, expires, ended_at = row["deadline"], row["lease_expires"], row["ended_at"]
    if not isinstance(deadline, datetime):
        raise TypeError("a leased slot's job has no deadline")
    return rules.Lease(
        job=str(row["job"]),
        state=JobState(str(row["state"])),
        deadline=deadline,
        expires=expires if isinstance(expires, datetime) else deadline,
        ended_at=ended_at if isinstance(ended_at, datetime) else None,
        abandoned=bool(row["abandoned"]),
    )


def _count(known: list[rules.Slot]) -> None:
    busy: dict[str, int] = {}
    for slot in known:
        busy[slot.executor_class] = busy.get(slot.executor_class, 0) + (slot.lease is not None)
    for name, count in busy.items():
        metrics.SLOTS_BUSY.labels("miner", name).set(count)


def plan_start(start: StartExecutor, *, token: str, manager: str, at: datetime) -> bool:
    """Makes the row of an executor that is about to be started; false if the slot has one."""
    seconds = rules.startup_seconds(start.executor_class)
    try:
        with transaction.atomic():
            slot = Slot.objects.select_for_update(no_key=True).get(id=start.slot)
            Executor.objects.create(
                token=token,
                slot=slot,
                executor_class=start.executor_class,
                manager=manager,
                job=_open_lease(slot),
                created_at=at,
                deadline=at + timedelta(seconds=seconds),
            )
    except (IntegrityError, Slot.DoesNotExist):
        return False
    return True


def _open_lease(slot: Slot) -> Job | None:
    job = slot.lease
    return job if job is not None and job.ended_at is None else None


def note_handle(token: str, handle: str, address: str | None) -> None:
    """Stores by which name an executor's manager knows it."""
    Executor.objects.filter(token=token).update(handle=handle, address=address or "")


@transaction.atomic
def gone(token: str, at: datetime) -> None:
    """An executor does not run any more. Its job ends if it had not, and its slot is free.

    One whose socket is still open may have said more than has been heard: its conversation then
    has a while to end the job.
    """
    executor = locked(token)
    if executor is None or executor.state == ExecutorState.GONE:
        return
    if _unheard(executor, at):
        executor.save(update_fields=["state", "deadline"])
        return
    connected = executor.state != ExecutorState.STARTING
    executor.state = ExecutorState.GONE
    executor.gone_at = at
    executor.save(update_fields=["state", "gone_at"])
    if executor.job is not None:
        jobs.end(str(executor.job.job_uuid), rules.lost(connected=connected), at)
        leases.release(executor.slot_id, executor.job)
    wake_on_commit(FLEET)


@transaction.atomic
def release(slot: int, job_uuid: str) -> None:
    """Frees the slot of a job that has ended and whose executor is gone."""
    job = Job.objects.filter(job_uuid=job_uuid).exclude(ended_at=None).first()
    if job is not None and leases.release(slot, job):
        wake_on_commit(FLEET)


def known() -> list[Known]:
    """All executors that are not gone."""
    return [
        Known(
            token=row["token"],
            handle=row["handle"],
            executor_class=row["executor_class"],
            state=ExecutorState(row["state"]),
            has_job=row["job_id"] is not None,
            deadline=row["deadline"],
        )
        for row in Executor.objects.filter(state__in=_ACTIVE).values(
            "token", "handle", "executor_class", "state", "job_id", "deadline"
        )
    ]


def forget_old(at: datetime) -> int:
    """Deletes executors that are gone for two days; how many."""
    return Executor.objects.filter(gone_at__lt=at - KEEP).delete()[0]


def _unheard(executor: Executor, at: datetime) -> bool:
    """Whether the end of an executor's job may yet be heard on its socket; until when, it notes."""
    if executor.job is None or executor.job.ended_at is not None:
        return False
    if executor.state == ExecutorState.ASSIGNED:
        executor.state = ExecutorState.LEAVING
        executor.deadline = at + timedelta(seconds=UNHEARD_SECONDS)
    return (
        executor.state == ExecutorState.LEAVING
        and executor.deadline is not None
        and executor.deadline > at
    )


def locked(token: str) -> Executor | None:
    """An executor's row, after its job's and its slot's: everybody locks in this order."""
    keys = Executor.objects.filter(token=token).values_list("job_id", "slot_id").first()
    if keys is None:
        return None
    job_id, slot_id = keys
    Job.objects.select_for_update(no_key=True).filter(id=job_id).values_list("id").first()
    Slot.objects.select_for_update(no_key=True).filter(id=slot_id).values_list("id").first()
    found = Executor.objects.select_for_update(no_key=True, of=("self",)).select_related("job")
    return found.defer("job__offer", "job__start").filter(token=token).first()

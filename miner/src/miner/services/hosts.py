"""Which slots are on hosts that are fit to run jobs: executors say so, before they wait for one."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Count

from compute_horde_common.contrib.django import serving
from compute_horde_common.contrib.django.mailbox import wake_on_commit
from miner.domain import slots as rules
from miner.domain.progress import JobState
from miner.domain.slots import EXIT_SECONDS, ExecutorState
from miner.models import Slot
from miner.services import jobs
from miner.services.executors import CONNECTED, locked
from miner.services.topics import FLEET, executor_topic

log = structlog.get_logger(__name__)


@transaction.atomic
def note_unfit(token: str, reasons: Sequence[str], at: datetime) -> str | None:
    """Takes down why an executor's host must not be offered; what is wrong with that, or None.

    The slot is not leased until `offer_again`. A job that has it already ends, as one whose
    executor did not come up. The executor may be gone before it is heard.
    """
    executor = locked(token)
    if executor is None:
        return "this executor is not known"
    if executor.job is not None and executor.job.state != JobState.ACCEPTED:
        return "that comes too late: there is a job"
    _mark_unfit(executor.slot_id, "\n".join(reasons).replace("\0", ""), at)
    if executor.state in CONNECTED:
        executor.state = ExecutorState.LEAVING
        executor.deadline = at + timedelta(seconds=EXIT_SECONDS)
        executor.save(update_fields=["state", "deadline"])
    if executor.job is not None:
        jobs.end(str(executor.job.job_uuid), rules.unfit(), at)
    wake_on_commit(executor_topic(token))
    wake_on_commit(FLEET)
    return None


def _mark_unfit(slot_id: int, reasons: str, at: datetime) -> None:
    slot = Slot.objects.get(id=slot_id)
    if slot.unfit != reasons:
        log.error("host is unfit", slot=str(slot), reasons=reasons)
    Slot.objects.filter(id=slot_id).update(unfit=reasons, unfit_at=at)


def offer_again(slot_id: int, unfit_at: datetime) -> None:
    """Notes that a slot's host is fit after all, unless it was found unfit again since."""
    if Slot.objects.filter(id=slot_id, unfit_at=unfit_at).update(unfit="", unfit_at=None):
        log.info("host is fit again", slot=slot_id)


def offered(configured: Mapping[str, int]) -> dict[str, int]:
    """How many executors of each class validators are told of. Where no new work is taken, that is
    0 of each: validators would go by what they were told before of a class that is not named."""
    return fit(configured) if serving.is_serving() else dict.fromkeys(configured, 0)


def fit(configured: Mapping[str, int]) -> dict[str, int]:
    """How many executors of each class are offered: those configured, on hosts that are fit."""
    unfit = dict(
        Slot.objects.filter(offered=True)
        .exclude(unfit="")
        .values_list("executor_class")
        .annotate(Count("id"))
    )
    left = {name: count - unfit.get(name, 0) for name, count in configured.items()}
    return {name: count for name, count in left.items() if count > 0}

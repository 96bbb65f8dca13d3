"""Whether executors are there: the process that owns them, its slots, and who waits in them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from django.db import connection

from compute_horde_common.contrib.django.db import in_database
from compute_horde_common.contrib.django.doctor.findings import Finding, fail, ok, warn
from compute_horde_common.jobs.executor_classes import executor_class
from miner.domain.slots import ExecutorState
from miner.models import Executor, Slot

START_FLEET: Final = (
    "Run `python -m django run_fleet`; in Docker Compose: `docker compose up --detach miner-fleet`,"
    " and see its logs."
)
_HOLDERS: Final = """
    SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
    WHERE locktype = 'advisory' AND datname = current_database() AND granted
    AND (classid::bigint << 32 | objid::bigint) = %s
"""


@dataclass(frozen=True, slots=True)
class _Slots:
    """The slots of a class."""

    unfit: tuple[str, ...]
    busy: int
    waiting: int
    starting: int


async def fleet_runs(offered: Mapping[str, int], lock: int) -> Finding:
    """Whether there are executors for all classes that are offered. The process that owns them
    holds the ``lock``."""
    if not await in_database(_is_held)(lock):
        return fail("no process looks after the executors", START_FLEET)
    seen = {name: await in_database(_slots)(name) for name in offered}
    if unfit := [reason for slots in seen.values() for reason in slots.unfit]:
        return fail(
            f"{len(unfit)} slots are on hosts that are not fit: {unfit[0]}",
            "Mend what it says; executors look again after a while, and offer the slots then.",
        )
    found = "; ".join(_said(name, offered[name], slots) for name, slots in seen.items())
    if missing := [name for name, count in offered.items() if _lacks(name, count, seen[name])]:
        return warn(
            f"{found}; not all are up of {', '.join(missing)}",
            "They are up within a minute of a start or of a job's end. If this stays, see the logs"
            " of miner-fleet: it says why executors do not come up.",
        )
    return ok(found)


def _is_held(lock: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_HOLDERS, [lock])
        return cursor.fetchone() is not None


def _slots(name: str) -> _Slots:
    rows = Slot.objects.filter(executor_class=name, offered=True)
    states = Counter(
        Executor.objects.filter(slot__in=rows, slot__lease=None).values_list("state", flat=True)
    )
    return _Slots(
        unfit=tuple(rows.exclude(unfit="").values_list("unfit", flat=True)),
        busy=rows.exclude(lease=None).count(),
        waiting=states[ExecutorState.WAITING],
        starting=states[ExecutorState.STARTING],
    )


def _said(name: str, count: int, slots: _Slots) -> str:
    return f"{name}: {slots.waiting} of {count} wait, {slots.busy} run jobs"


def _lacks(name: str, count: int, slots: _Slots) -> bool:
    """Others than always-on executors are started when there is a job."""
    return executor_class(name).always_on and slots.waiting + slots.busy < count

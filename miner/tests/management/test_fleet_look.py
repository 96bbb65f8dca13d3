from collections.abc import AsyncIterator
from datetime import datetime

import psycopg
import pytest
from django.db import connection

from compute_horde_common.contrib.django.db import in_database
from compute_horde_common.contrib.django.doctor.findings import Finding, fail, ok, warn
from miner.management.fleet_look import START_FLEET, fleet_runs
from miner.models import Slot
from tests import fleet_of_rows
from tests.examples import CLASS

LOCK = 0x646F63746F72


@pytest.fixture
async def fleet(transactional_db: None) -> AsyncIterator[None]:
    """Two slots, and somebody who looks after them."""
    await in_database(fleet_of_rows.slots)(2)
    database = connection.get_connection_params()
    whose = {name: database[name] for name in ("host", "user", "dbname") if name in database}
    async with await psycopg.AsyncConnection.connect(**whose) as holder:
        await holder.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        yield


async def _look() -> Finding:
    return await fleet_runs({CLASS: 2}, LOCK)


async def test_without_a_fleet_process_there_is_no_fleet(transactional_db: None) -> None:
    assert await _look() == fail("no process looks after the executors", START_FLEET)


async def test_executors_that_wait_are_counted(fleet: None, at: datetime) -> None:
    await in_database(fleet_of_rows.warm)(at, 0)
    await in_database(fleet_of_rows.warm)(at, 1)

    assert await _look() == ok("always_on.test: 2 of 2 wait, 0 run jobs")


async def test_executors_that_do_not_come_up_are_warned_of(fleet: None, at: datetime) -> None:
    await in_database(fleet_of_rows.warm)(at, 0)
    await in_database(fleet_of_rows.executor)(at, 1)

    assert await _look() == warn(
        "always_on.test: 1 of 2 wait, 0 run jobs; not all are up of always_on.test",
        "They are up within a minute of a start or of a job's end. If this stays, see the logs of"
        " miner-fleet: it says why executors do not come up.",
    )


async def test_a_host_that_is_not_fit_is_told_in_its_executors_words(fleet: None) -> None:
    await Slot.objects.filter(index=1).aupdate(unfit="Docker is '19.03'. Upgrade it.")

    assert await _look() == fail(
        "1 slots are on hosts that are not fit: Docker is '19.03'. Upgrade it.",
        "Mend what it says; executors look again after a while, and offer the slots then.",
    )

"""The serving switch against PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Event

import pytest
from django.conf import LazySettings
from django.core.management import call_command
from django.db import connection, transaction

from compute_horde_common.contrib.django import serving
from compute_horde_common.contrib.django.db import in_database
from compute_horde_common.contrib.django.mailbox import listening
from compute_horde_common.contrib.django.models import Serving

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 1, 2, tzinfo=UTC)
WITHIN = 5.0


def row() -> tuple[bool, str, datetime]:
    found = Serving.objects.get()
    return found.on, found.reason, found.switched_at


@pytest.fixture
def never_switched(db: None) -> None:
    """A service whose tables were made a moment ago, by other means than its first start."""
    Serving.objects.all().delete()


@pytest.mark.django_db
def test_a_service_takes_work_from_its_first_start() -> None:
    assert serving.is_serving()
    assert (Serving.objects.get().on, Serving.objects.get().reason) == (True, "")


def test_on_a_server_that_a_service_moves_to_it_takes_none(
    never_switched: None, settings: LazySettings
) -> None:
    settings.MIGRATING = True
    before = serving.is_serving()

    call_command("migrate", verbosity=0)

    settings.MIGRATING = False
    assert (before, serving.is_serving()) == (False, False)
    assert Serving.objects.get().reason == "MIGRATING was set at the first start"


@pytest.mark.django_db
def test_later_starts_there_change_nothing(settings: LazySettings) -> None:
    serving.switch_off("the disk is full", NOW)
    call_command("migrate", verbosity=0)
    off = row()
    serving.switch_on("", LATER)
    settings.MIGRATING = True
    call_command("migrate", verbosity=0)

    assert (off, row()) == ((False, "the disk is full", NOW), (True, "", LATER))
    assert serving.is_serving()


@pytest.mark.django_db
def test_who_switches_it_off_again_changes_nothing() -> None:
    changed = [serving.switch_off("first", NOW), serving.switch_off("second", LATER)]

    assert (changed, row()) == ([True, False], (False, "first", NOW))


def test_what_was_never_touched_can_be_switched(never_switched: None) -> None:
    changed = [serving.switch_on("", NOW), serving.switch_off("why", NOW)]

    assert (changed, row()) == ([False, True], (False, "why", NOW))


@pytest.mark.django_db(transaction=True)
async def test_other_processes_are_woken() -> None:
    async with listening(serving.TOPIC) as ear:
        await in_database(serving.switch_off)("why", NOW)

        assert await ear.wait(within=WITHIN)


@pytest.mark.django_db(transaction=True)
def test_who_switches_it_off_sees_all_the_work_that_was_taken_before() -> None:
    taken, go_on = Event(), Event()
    order: list[str] = []

    def take() -> None:
        with transaction.atomic():
            assert serving.may_take_work()
            taken.set()
            assert go_on.wait(WITHIN)
            order.append("work is taken")
        connection.close()

    def switch() -> None:
        serving.switch_off("why", NOW)
        order.append("serving is off")
        connection.close()

    with ThreadPoolExecutor() as threads:
        taking = threads.submit(take)
        assert taken.wait(WITHIN)
        switching = threads.submit(switch)
        _until_somebody_waits_for_a_lock()
        go_on.set()
        taking.result(WITHIN)
        switching.result(WITHIN)

    assert order == ["work is taken", "serving is off"]


def _until_somebody_waits_for_a_lock() -> None:
    question = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with connection.cursor() as cursor:
        waiting = 0
        while not waiting:
            cursor.execute(question)
            waiting = cursor.fetchone()[0]

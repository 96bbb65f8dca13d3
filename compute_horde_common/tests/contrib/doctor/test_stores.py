import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from celery.signals import task_postrun
from django.db import connection
from psycopg.conninfo import conninfo_to_dict
from redis import Redis

from compute_horde_common.clock import HandWoundClock, SystemClock
from compute_horde_common.contrib.django import celery
from compute_horde_common.contrib.django.doctor.findings import Finding, State, fail, ok
from compute_horde_common.contrib.django.doctor.stores import Stores
from compute_horde_common.contrib.django.embedded import EmbeddedPostgres, EmbeddedRedis

DATABASE, REDIS = os.environ["DATABASE_URL"], os.environ["REDIS_URL"]
SCHEDULE = {"often": {"schedule": 30.0}, "rarely": {"schedule": 600.0}}
DATABASE_FIX = (
    "DATABASE_URL must lead to a running server and hold its password. Where Docker Compose runs"
    " it: `docker compose up --detach small-db`, see its logs, and compare"
    " secrets/small_database_url with secrets/small_db_password."
)
REDIS_FIX = (
    "REDIS_URL must lead to a running server and hold its password. Where Docker Compose runs it:"
    " `docker compose up --detach small-redis`, see its logs, and compare secrets/small_redis_url"
    " with secrets/small_redis_password."
)
START = "docker compose up --detach small-worker small-beat"


def _stores(*, database: str = DATABASE, redis: str = REDIS) -> Stores:
    return Stores("small", database, redis, SystemClock(), SCHEDULE)


@pytest.fixture
def redis() -> Iterator[Redis]:
    """Without any sign of a worker, before and after."""
    keys = ("small.worked_at", celery.working_queue("small"))
    with Redis.from_url(REDIS) as client:
        client.delete(*keys)
        yield client
        client.delete(*keys)


@pytest.fixture
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL that asks somebody for a password."""
    directory = tmp_path_factory.mktemp("pg")
    server = EmbeddedPostgres(directory, durable=False, dies_with_us=True)
    server.start()
    with psycopg.connect(server.url(), autocommit=True) as opened:
        opened.execute("CREATE ROLE somebody LOGIN PASSWORD 'right'")
        rules = Path(str(opened.execute("SHOW hba_file").fetchall()[0][0]))
        rules.write_text(f"local all somebody scram-sha-256\n{rules.read_text()}")
        opened.execute("SELECT pg_reload_conf()")
    yield server.url().replace("postgres@", "somebody:{password}@", 1)
    server.stop()


async def test_a_database_that_answers_is_well() -> None:
    finding = await _stores(database=DATABASE.rpartition("/")[0] + "/postgres").database_answers()

    assert (finding.state, finding.found.split()[0]) == (State.OK, "PostgreSQL")


async def test_a_wrong_password_of_the_database_is_told_with_what_to_compare(guarded: str) -> None:
    right = await _stores(database=guarded.format(password="right")).database_answers()
    wrong = guarded.format(password="wrong")
    finding = await _stores(database=wrong).database_answers()

    socket = f"{conninfo_to_dict(wrong)['host']}/.s.PGSQL.5432"
    assert right.state is State.OK
    assert finding == fail(
        f'connection failed: connection to server on socket "{socket}" failed: FATAL: '
        ' password authentication failed for user "somebody"',
        DATABASE_FIX,
    )


async def test_a_database_that_is_away_is_told() -> None:
    finding = await _stores(database="postgresql://me@127.0.0.1:1/x").database_answers()

    assert finding == fail(
        'connection failed: connection to server at "127.0.0.1", port 1 failed: Connection refused',
        DATABASE_FIX,
    )


@pytest.mark.django_db(transaction=True)
async def test_a_database_with_all_tables_is_well() -> None:
    assert await _stores().migrations_are_applied() == ok("all applied")


@pytest.fixture
def one_missing(transactional_db: None) -> Iterator[None]:
    def rename(app: str, other: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE django_migrations SET app = %s WHERE app = %s", [other, app])

    rename("sessions", "away")
    yield
    rename("away", "sessions")


async def test_migrations_that_are_missing_are_named(one_missing: None) -> None:
    finding = await _stores().migrations_are_applied()

    assert finding == fail(
        "1 not applied: sessions.0001_initial",
        "Run `python -m django migrate`; where Docker Compose runs this service,"
        " `docker compose restart small-app` does it.",
    )


async def test_a_redis_that_answers_is_well() -> None:
    finding = await _stores().redis_answers()

    assert (finding.state, finding.found.split()[0]) == (State.OK, "Redis")


async def test_a_wrong_password_of_redis_is_told() -> None:
    finding = await _stores(redis=REDIS.replace("redis://:", "redis://:x")).redis_answers()

    assert finding == fail(
        "Redis does not let us in: invalid username-password pair or user is disabled.", REDIS_FIX
    )


async def test_a_redis_that_is_away_is_told() -> None:
    finding = await _stores(redis="redis://127.0.0.1:1/0").redis_answers()

    assert finding == fail("Error 111 connecting to 127.0.0.1:1. Connection refused.", REDIS_FIX)


async def test_a_redis_that_takes_nothing_more_is_told(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path / "redis", dies_with_us=True)
    server.start()
    with Redis.from_url(server.url()) as client:
        client.config_set("maxmemory", 1)

    finding = await _stores(redis=server.url()).redis_answers()

    server.stop()
    assert finding == fail("command not allowed when used memory > 'maxmemory'.", REDIS_FIX)


def _task_ended() -> None:
    task_postrun.send(sender=None, task=SimpleNamespace(app=SimpleNamespace(main="small")))


async def _after(seconds: float) -> Finding:
    clock = HandWoundClock(SystemClock().now())
    await clock.advance(seconds)
    return await Stores("small", DATABASE, REDIS, clock, SCHEDULE).tasks_run()


async def test_a_worker_that_has_just_worked_is_alive(redis: Redis) -> None:
    _task_ended()

    assert await _after(100) == ok("the last task ended 100 s ago")


async def test_where_no_task_has_run_yet_the_first_is_waited_for(redis: Redis) -> None:
    finding = await _stores().tasks_run()

    assert finding == Finding(
        State.WARN,
        "no task has run yet",
        f"The first is due within 30 s. If this stays: {START}, and see their logs.",
    )


async def test_a_beat_that_sends_nothing_is_found_dead(redis: Redis) -> None:
    _task_ended()

    assert await _after(200) == fail(
        "the last task ended 200 s ago, though one is due every 30 s; 0 wait, so it is beat that"
        " does not work",
        f"{START}, and see the logs of small-beat.",
    )


async def test_a_worker_that_takes_nothing_is_found_dead(redis: Redis) -> None:
    _task_ended()
    redis.rpush(celery.working_queue("small"), "a task", "another")

    assert await _after(200) == fail(
        "the last task ended 200 s ago, though one is due every 30 s; 2 wait, so it is worker that"
        " does not work",
        f"{START}, and see the logs of small-worker.",
    )


def test_the_queue_that_is_looked_at_is_the_one_that_beat_fills(redis: Redis) -> None:
    celery.make_beat("small").send_task("some.task")

    assert redis.llen(celery.working_queue("small")) == 1
    assert celery.worked_at(redis, "small") is None
    _task_ended()
    worked_at = celery.worked_at(redis, "small")
    assert worked_at is not None
    assert abs((datetime.now(UTC) - worked_at).total_seconds()) < 60

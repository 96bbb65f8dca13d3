"""Whether PostgreSQL, its tables, Redis and what runs Celery's tasks are well."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import psycopg
from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError
from redis.retry import Retry

from compute_horde_common.clock import Clock
from compute_horde_common.contrib.django.celery import worked_at, working_queue
from compute_horde_common.contrib.django.db import in_database
from compute_horde_common.contrib.django.doctor.findings import Check, Finding, fail, ok, warn

CONNECT_SECONDS = 4
OLDEST_POSTGRES = 140_000
TURNS_MISSED = 3
"""So many turns of the most frequent task may be missed before somebody is thought dead."""
START_SECONDS = 60
_NAMES_SHOWN = 3


def _schedule() -> Mapping[str, Mapping[str, Any]]:
    return getattr(settings, "CELERY_BEAT_SCHEDULE", {})


@dataclass(frozen=True, slots=True)
class Stores:
    """A service's database and Redis.

    Attributes:
        service: the service's name, e.g. miner.
        database_url: of PostgreSQL.
        redis_url: of Redis.
        clock: the time.
        schedule: which tasks are due when, as in Django's settings.
    """

    service: str
    database_url: str
    redis_url: str
    clock: Clock
    schedule: Mapping[str, Mapping[str, Any]] = field(default_factory=_schedule)

    def checks(self) -> list[Check]:
        """All of them."""
        return [
            Check("database", self.database_answers),
            Check("migrations", self.migrations_are_applied, needs=("database",)),
            Check("Redis", self.redis_answers),
            Check("worker, beat", self.tasks_run, needs=("Redis",)),
        ]

    async def database_answers(self) -> Finding:
        """Whether PostgreSQL lets us in, and is not too old."""
        try:
            async with await psycopg.AsyncConnection.connect(
                self.database_url, connect_timeout=CONNECT_SECONDS
            ) as opened:
                number = opened.info.server_version
        except psycopg.Error as error:
            return fail(_first_line(error), self._store_fix("DATABASE_URL", "db"))
        version = f"PostgreSQL {number // 10_000}.{number % 10_000}"
        if number < OLDEST_POSTGRES:
            return fail(version, f"Use PostgreSQL {OLDEST_POSTGRES // 10_000} or later.")
        return ok(version)

    async def migrations_are_applied(self) -> Finding:
        """Whether the database has the tables of this release."""
        missing = await in_database(_migrations_missing)()
        if not missing:
            return ok("all applied")
        shown = ", ".join(missing[:_NAMES_SHOWN]) + (", ..." if missing[_NAMES_SHOWN:] else "")
        return fail(
            f"{len(missing)} not applied: {shown}",
            "Run `python -m django migrate`; where Docker Compose runs this service,"
            f" `docker compose restart {self.service}-app` does it.",
        )

    async def redis_answers(self) -> Finding:
        """Whether Redis lets us in, and takes what we write."""
        try:
            return ok(f"Redis {await asyncio.to_thread(self._redis_version)}")
        except AuthenticationError as error:
            fix = self._store_fix("REDIS_URL", "redis")
            return fail(f"Redis does not let us in: {_first_line(error)}", fix)
        except (RedisError, ValueError) as error:
            return fail(_first_line(error), self._store_fix("REDIS_URL", "redis"))

    async def tasks_run(self) -> Finding:
        """Whether worker and beat are alive: the last task ended not long ago."""
        last, waiting = await asyncio.to_thread(self._last_task)
        turn = min(_seconds(entry["schedule"]) for entry in self.schedule.values())
        start = f"docker compose up --detach {self.service}-worker {self.service}-beat"
        if last is None:
            found = f"no task has run yet; {waiting} wait" if waiting else "no task has run yet"
            fix = f"The first is due within {turn:.0f} s. If this stays: {start}"
            return warn(found, f"{fix}, and see their logs.")
        age = (self.clock.now() - last).total_seconds()
        if age <= TURNS_MISSED * turn + START_SECONDS:
            return ok(f"the last task ended {age:.0f} s ago")
        dead = "worker" if waiting else "beat"
        return fail(
            f"the last task ended {age:.0f} s ago, though one is due every {turn:.0f} s;"
            f" {waiting} wait, so it is {dead} that does not work",
            f"{start}, and see the logs of {self.service}-{dead}.",
        )

    def _redis_version(self) -> str:
        with _redis(self.redis_url) as redis:
            redis.set(f"{self.service}.doctor", b"", ex=1)
            return str(redis.info("server")["redis_version"])

    def _last_task(self) -> tuple[datetime | None, int]:
        with _redis(self.redis_url) as redis:
            waiting = int(redis.llen(working_queue(self.service)))
            return worked_at(redis, self.service), waiting

    def _store_fix(self, variable: str, part: str) -> str:
        secret = f"secrets/{self.service}_{variable.lower()}"
        return (
            f"{variable} must lead to a running server and hold its password. Where Docker Compose"
            f" runs it: `docker compose up --detach {self.service}-{part}`, see its logs, and"
            f" compare {secret} with secrets/{self.service}_{part}_password."
        )


def _redis(url: str) -> Redis:
    return Redis.from_url(
        url,
        socket_timeout=CONNECT_SECONDS,
        socket_connect_timeout=CONNECT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )


def _migrations_missing() -> list[str]:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


def _seconds(schedule: timedelta | float) -> float:
    return schedule.total_seconds() if isinstance(schedule, timedelta) else float(schedule)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__

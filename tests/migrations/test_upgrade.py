"""A server may run the code of one release on the tables of the next: while it is upgraded, and
after a rollback. So each database that a release left is migrated, and its code's statements are
said again."""

import json
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from compute_horde_common.contrib.django.embedded import EmbeddedPostgres
from tests.migrations.databases import (
    RELEASED,
    SERVICES,
    Table,
    columns,
    empty,
    inserts,
    load,
    rows,
    run_in,
    write_again,
)

DUMPS = [
    (release.name, service)
    for release in sorted(RELEASED.iterdir())
    for service in SERVICES
    if (release / f"{service}.sql").exists()
]
_ids = pytest.mark.parametrize("upgraded", DUMPS, ids="-".join, indirect=True, scope="module")


@dataclass(frozen=True)
class Upgraded:
    """A database that a release left, after all migrations. ``said``: by the upgrade."""

    url: str
    dump: Path
    known: dict[str, list[str]]
    before: Table
    said: dict[str, object]


@pytest.fixture(scope="module")
def upgraded(request: pytest.FixtureRequest, postgres: EmbeddedPostgres) -> Upgraded:
    release, service = request.param
    url = postgres.create_database(f"{service}_{release}")
    dump = RELEASED / release / f"{service}.sql"
    load(url, dump)
    known = columns(url)
    before = rows(url, known)
    done = run_in(service, url, "tests.migrations.upgrade")
    assert (done.returncode, done.stderr) == (0, "")
    return Upgraded(url, dump, known, before, json.loads(done.stdout))


def test_every_service_of_every_release_is_looked_at() -> None:
    assert {service for _, service in DUMPS} == set(SERVICES)
    assert len(DUMPS) % len(SERVICES) == 0


@_ids
def test_a_release_left_rows_in_every_table(upgraded: Upgraded) -> None:
    assert {table for table, found in upgraded.before.items() if len(found) < 2} == set()


@_ids
def test_an_upgrade_keeps_every_row(upgraded: Upgraded) -> None:
    after = rows(upgraded.url, upgraded.known)

    lost = {table: set(found) - set(after[table]) for table, found in upgraded.before.items()}
    assert {table: found for table, found in lost.items() if found} == {}


@_ids
def test_the_code_of_the_release_before_works_on_the_upgraded_tables(upgraded: Upgraded) -> None:
    every_table = list(columns(upgraded.url))
    with psycopg.connect(upgraded.url) as connection:
        empty(connection, every_table)
        for statement in inserts(upgraded.dump):
            connection.execute(statement.encode())
        write_again(connection, upgraded.known)

    assert rows(upgraded.url, upgraded.known) == upgraded.before


@_ids
def test_migrations_since_a_release_only_add(upgraded: Upgraded) -> None:
    assert upgraded.said["faults"] == []


@_ids
def test_the_models_are_those_of_the_migrations(upgraded: Upgraded) -> None:
    assert upgraded.said["unwritten"] == "No changes detected\n"

"""Databases of a service, as they are after its migrations or as a release left them."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

ROOT: Final = Path(__file__).resolve().parents[2]
RELEASED: Final = Path(__file__).parent / "released"
SERVICES: Final = ("facilitator", "miner", "validator")
LIMIT_SECONDS: Final = 120
_BOOKKEEPING: Final = "django_migrations"

Table = dict[str, list[tuple[object, ...]]]


def run_in(service: str, url: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Runs ``python -m ARGUMENTS`` with the settings of a service and a database of its own."""
    told = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": f"{service}.settings",
        "SECRET_KEY": "only-for-tests-" + "0" * 40,
        "JWT_SECRET": "only-for-tests-" + "1" * 40,
        "DATABASE_URL": url,
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "LOG_LEVEL": "error",
    }
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=told,
        text=True,
        capture_output=True,
        check=False,
        timeout=LIMIT_SECONDS,
    )


def load(url: str, dump: Path) -> None:
    """Fills an empty database with what a release left."""
    with psycopg.connect(url) as connection:
        connection.execute(dump.read_bytes())


def inserts(dump: Path) -> list[str]:
    """The statements by which the code of a release makes its rows, as far as PostgreSQL sees."""
    lines = dump.read_text().splitlines()
    return [
        line
        for line in lines
        if line.startswith("INSERT INTO ") and f".{_BOOKKEEPING} " not in line
    ]


def columns(url: str) -> dict[str, list[str]]:
    """The columns of every table of a service, but of what Django notes of its migrations."""
    question = """
        SELECT table_name, column_name FROM information_schema.columns
        WHERE table_schema = 'public' AND table_name <> %s ORDER BY table_name, ordinal_position
    """
    found: dict[str, list[str]] = {}
    with psycopg.connect(url) as connection:
        for table, column in connection.execute(question, [_BOOKKEEPING]):
            found.setdefault(table, []).append(column)
    return found


def rows(url: str, wanted: dict[str, list[str]]) -> Table:
    """All rows of tables, in these columns."""
    with psycopg.connect(url) as connection:
        return {table: _rows(connection, table, names) for table, names in wanted.items()}


def empty(connection: "psycopg.Connection[tuple[object, ...]]", tables: list[str]) -> None:
    """Deletes every row."""
    names = sql.SQL(", ").join(map(sql.Identifier, tables))
    connection.execute(sql.SQL("TRUNCATE {} CASCADE").format(names))


def write_again(
    connection: "psycopg.Connection[tuple[object, ...]]", wanted: dict[str, list[str]]
) -> None:
    """Writes into every row what it says already, in these columns."""
    for table, names in wanted.items():
        each = [sql.SQL("{0} = {0}").format(sql.Identifier(name)) for name in names]
        connection.execute(
            sql.SQL("UPDATE {} SET {}").format(sql.Identifier(table), sql.SQL(", ").join(each))
        )


def _rows(
    connection: "psycopg.Connection[tuple[object, ...]]", table: str, names: list[str]
) -> list[tuple[object, ...]]:
    chosen = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in names)
    order = sql.SQL(", ").join(sql.Literal(number + 1) for number in range(len(names)))
    question = sql.SQL("SELECT {} FROM {} ORDER BY {}")
    return list(connection.execute(question.format(chosen, sql.Identifier(table), order)))

"""The program that writes what a release leaves can write what this one would."""

from pathlib import Path

import pytest

from compute_horde_common.contrib.django.embedded import EmbeddedPostgres
from tests.migrations.databases import SERVICES, columns, load, rows
from tests.migrations.dump import dump


@pytest.mark.parametrize("service", SERVICES)
def test_a_dump_of_this_release_has_rows_in_every_table(
    postgres: EmbeddedPostgres, tmp_path: Path, service: str
) -> None:
    written = tmp_path / "dump.sql"
    written.write_text(dump(postgres, service))
    url = postgres.create_database(f"{service}_again")

    load(url, written)

    found = rows(url, columns(url))
    assert "common_serving" in found
    assert {table for table, those in found.items() if len(those) != 2} == set()

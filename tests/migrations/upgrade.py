"""Upgrades the database of the environment, and says what is wrong with that.

``DJANGO_SETTINGS_MODULE=miner.settings python -m tests.migrations.upgrade``
"""

import json
import sys
from contextlib import suppress
from io import StringIO

import django
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from tests.migrations.additive import offences


def main() -> None:
    """Prints what is wrong with the migrations that the database lacked, as JSON, and what
    ``makemigrations`` would make."""
    django.setup()
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    released = executor.loader.project_state(list(executor.loader.applied_migrations))
    faults = offences((migration for migration, _ in plan), released)
    call_command("migrate", verbosity=0, interactive=False)
    unwritten = StringIO()
    with suppress(SystemExit):
        call_command("makemigrations", check_changes=True, dry_run=True, stdout=unwritten)
    json.dump({"faults": faults, "unwritten": unwritten.getvalue()}, sys.stdout)


if __name__ == "__main__":
    main()

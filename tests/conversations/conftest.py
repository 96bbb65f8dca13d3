"""Facilitator, validator and miner in one process. Nothing here imports a model: Django is not up
yet."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from pytest_django import DjangoDbBlocker

from compute_horde_common.chain.keys import Hotkey
from tests.conversations.sides import Side, speaking_as

_WALLETS = tempfile.mkdtemp(prefix="horde-conversations-")
atexit.register(shutil.rmtree, _WALLETS, ignore_errors=True)
Hotkey.from_uri("//Bob").write_wallet(_WALLETS, "miner", "default")

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
os.environ["BITTENSOR_WALLET_DIRECTORY"] = _WALLETS
os.environ["BITTENSOR_WALLET_NAME"] = "miner"
os.environ["JWT_SECRET"] = "only-for-tests-" + "1" * 40
os.environ["EXECUTOR_SLOTS"] = "always_on.test=1"
pytest_plugins = ["compute_horde_common.contrib.django.testing"]

_SIDES = [side for side in Side if side is not Side.NOBODY]


@pytest.fixture(scope="session")
def django_db_setup(
    django_db_modify_db_settings: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """One database, in which each side has a schema with the tables of its service."""
    with django_db_blocker.unblock():
        before = connection.settings_dict["NAME"]
        creation: Any = connection.creation  # makes an empty database, but does not say so
        name = creation._create_test_db(verbosity=0, autoclobber=True, keepdb=False)
        connection.close()
        connection.settings_dict["NAME"] = settings.DATABASES["default"]["NAME"] = name
        for side in _SIDES:
            _make_tables(side)
        yield
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined]  # PostgreSQL's
        creation.destroy_test_db(before, verbosity=0)


def _make_tables(side: Side) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA {side}")
    connection.close()
    with speaking_as(side):
        executor = MigrationExecutor(connection)
        ends = executor.loader.graph.leaf_nodes()
        executor.migrate([end for end in ends if end[0] in {"common", side}])
        connection.close()


@pytest.fixture(autouse=True)
def _nothing_happened_yet(transactional_db: None) -> None:
    tables = [
        f"{side}.{model._meta.db_table}"
        for side in _SIDES
        for label in ("common", side)
        for model in apps.get_app_config(label).get_models()
    ]
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(tables)}")

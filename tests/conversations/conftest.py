"""Facilitator, validator and miner in one process. Nothing here imports a model: Django is not up
yet."""

import atexit
import os
import shutil
import tempfile

import pytest
from django.apps import apps
from django.db import connection
from pytest_django import DjangoDbBlocker

from compute_horde_common.chain.keys import Hotkey
from tests.conversations.sides import Side

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


def _shared_tables() -> list[str]:
    return [model._meta.db_table for model in apps.get_app_config("common").get_models()]


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """Gives each side the tables that all services share."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        for side in _SIDES:
            cursor.execute(f"CREATE SCHEMA {side}")
            for table in _shared_tables():
                cursor.execute(f"CREATE TABLE {side}.{table} (LIKE public.{table} INCLUDING ALL)")
    connection.close()


@pytest.fixture(autouse=True)
def _nothing_said_yet(transactional_db: None) -> None:
    tables = ", ".join(f"{side}.{table}" for side in _SIDES for table in _shared_tables())
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {tables}")

"""The pytest plugin of every member that uses Django.

A member's ``tests/conftest.py`` is

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "miner.settings")
    pytest_plugins = ["compute_horde_common.contrib.django.testing"]

Where no ``DATABASE_URL`` or ``REDIS_URL`` is given, the session brings up its own servers, once for
all of its workers. Django is set up as the plugin is registered; so fixtures that import models
belong in a ``conftest.py`` further down.
"""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

import django
import pytest
from django.apps import apps

from compute_horde_common.clock import Clock, HandWoundClock, SystemClock
from compute_horde_common.contrib.django.embedded import EmbeddedPostgres, EmbeddedRedis

ENVIRONMENT = {
    "SECRET_KEY": "only-for-tests-" + "0" * 40,
    "LOG_FORMAT": "console",
    "LOG_LEVEL": "warning",
}


class _Servers:
    """What this process started, to be stopped when it ends."""

    def __init__(self) -> None:
        self._directory: Path | None = None
        self._running: list[EmbeddedPostgres | EmbeddedRedis] = []

    @property
    def own_postgres(self) -> bool:
        """Whether the database server ends with this process."""
        return any(isinstance(server, EmbeddedPostgres) for server in self._running)

    def start(self) -> None:
        if "DATABASE_URL" not in os.environ:
            postgres = EmbeddedPostgres(self._place("postgres"), durable=False, dies_with_us=True)
            self._running.append(postgres)
            postgres.start()
            os.environ["DATABASE_URL"] = postgres.url("tests")
        if "REDIS_URL" not in os.environ:
            redis = EmbeddedRedis(self._place("redis"), dies_with_us=True)
            self._running.append(redis)
            redis.start()
            os.environ["REDIS_URL"] = redis.url(0)

    def stop(self) -> None:
        while self._running:
            self._running.pop().stop()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    def _place(self, name: str) -> Path:
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix="horde-tests-"))
            atexit.register(self.stop)
        return self._directory / name


_servers = _Servers()


def pytest_plugin_registered(plugin: object) -> None:
    """The earliest moment at which a plugin that a conftest names can act."""
    if plugin is not sys.modules[__name__] or apps.ready:
        return
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    _servers.start()
    if "DJANGO_SETTINGS_MODULE" in os.environ:
        django.setup()


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Keeps the settings' name from pytest-xdist's workers, which would look for it before a
    conftest has said where it is; theirs tells them."""
    if config.getoption("numprocesses", None):
        os.environ.pop("DJANGO_SETTINGS_MODULE", None)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    _servers.stop()


@pytest.fixture(scope="session")
def django_db_keepdb(request: pytest.FixtureRequest) -> bool:
    """The database need not be dropped where its whole server is about to go: a thread that a
    test left behind may still be connected."""
    return _servers.own_postgres or bool(request.config.getvalue("reuse_db"))


@pytest.fixture
def hand_wound_clock() -> HandWoundClock:
    """Stands at 2026-01-01 00:00 UTC until ``await clock.advance(seconds)``."""
    return HandWoundClock()


@pytest.fixture
def clock() -> Clock:
    """The machine's clock."""
    return SystemClock()

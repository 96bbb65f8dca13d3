"""A service's Celery application: periodic and retry-safe work only, no results."""

import logging.config
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeVar

from celery import Celery, Task
from celery.signals import heartbeat_sent, setup_logging, task_postrun, worker_ready
from django.conf import settings
from redis import Redis
from redis.exceptions import RedisError

from compute_horde_common.clock import SystemClock
from compute_horde_common.telemetry import alive

TASK_LIMIT_SECONDS = 300
TASK_WARNING_SECONDS = 270
NOTE_LIMIT_SECONDS = 2.0

Function = TypeVar("Function", bound=Callable[..., Any])

_at_start: list[str] = []


def make_app(name: str) -> Celery:
    """The application of service ``name``; ``DJANGO_SETTINGS_MODULE`` must be set.

    Tasks are found in the ``tasks`` module of each installed app; the schedule is the setting
    ``CELERY_BEAT_SCHEDULE``.
    """
    app = Celery(name)
    app.config_from_object(_Options(name))
    app.autodiscover_tasks(lambda: list(settings.INSTALLED_APPS))
    return app


def make_beat(name: str) -> Celery:
    """What sends service ``name``'s tasks when they are due: it knows their names and the schedule,
    and needs neither Django's apps nor the tasks themselves, which are most of a worker's memory.
    """
    # A fixup is what would set up Django.
    app = Celery(name, fixups=[])
    app.config_from_object(_Options(name))
    logging.config.dictConfig(settings.LOGGING)
    return app


class _Options:
    """Read when Celery first needs them, which is after Django's settings are there."""

    broker_connection_retry_on_startup = True
    task_ignore_result = True
    task_acks_late = True
    task_reject_on_worker_lost = True
    task_time_limit = TASK_LIMIT_SECONDS
    task_soft_time_limit = TASK_WARNING_SECONDS
    worker_prefetch_multiplier = 1
    worker_send_task_events = False
    worker_enable_remote_control = False
    worker_max_memory_per_child = 400_000
    timezone = "UTC"
    enable_utc = True

    def __init__(self, name: str) -> None:
        self.task_default_queue = name
        self.broker_url = str(settings.REDIS_URL)
        self.broker_transport_options = {
            "global_keyprefix": _prefix(name),
            "visibility_timeout": 600,
        }
        self.beat_schedule = getattr(settings, "CELERY_BEAT_SCHEDULE", {})
        self.beat_schedule_filename = getattr(settings, "CELERY_BEAT_FILE", None) or (
            f"/tmp/{name}-beat-schedule"  # noqa: S108 - only a cache of when what ran last
        )


def _prefix(name: str) -> str:
    return f"{name}."


def working_queue(name: str) -> str:
    """The key of Redis under which the tasks of service ``name`` wait, a list."""
    return f"{_prefix(name)}{name}"


def worked_at(redis: Redis, name: str) -> datetime | None:
    """When a task of service ``name`` last ended; None if none has."""
    noted = redis.get(_note(name))
    return datetime.fromtimestamp(float(noted), UTC) if isinstance(noted, bytes) else None


def _note(name: str) -> str:
    return f"{_prefix(name)}worked_at"


@task_postrun.connect
def _note_work(task: Any = None, **_: object) -> None:  # noqa: ANN401 - a signal
    # Whether somebody works at all is told by this alone: workers answer no questions.
    with (
        suppress(RedisError),
        Redis.from_url(
            str(settings.REDIS_URL),
            socket_timeout=NOTE_LIMIT_SECONDS,
            socket_connect_timeout=NOTE_LIMIT_SECONDS,
        ) as redis,
    ):
        redis.set(_note(str(task.app.main)), SystemClock().now().timestamp())


def at_start(task: Task[..., Any]) -> Task[..., Any]:
    """Marks a task to be run once as soon as a worker is ready, besides its schedule."""
    _at_start.append(str(task.name))
    return task


@worker_ready.connect
def _run_what_is_due_at_start(sender: Any = None, **_: object) -> None:  # noqa: ANN401 - a signal
    for name in _at_start:
        sender.app.send_task(name)


@setup_logging.connect
def _keep_our_logging(**_: object) -> None:
    """Being connected is what keeps Celery from replacing Django's logging."""


@worker_ready.connect
@heartbeat_sent.connect
@task_postrun.connect
def _tell_that_we_live(**_: object) -> None:
    """Between tasks; a task may take as long as its limit allows."""
    alive.touch()

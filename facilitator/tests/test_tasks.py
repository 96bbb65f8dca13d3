from datetime import timedelta

import pytest

from compute_horde_common.contrib.django.models import Outbox
from facilitator import tasks
from facilitator.celery import app
from facilitator.models import Job, SpentNonce, Validator, ValidatorConnection
from facilitator.settings import CELERY_BEAT_SCHEDULE
from tests.scene import BOB, a_job, connect_bob, now

pytestmark = pytest.mark.django_db


def test_everything_on_the_schedule_is_a_task() -> None:
    app.loader.import_default_modules()

    assert {entry["task"] for entry in CELERY_BEAT_SCHEDULE.values()} <= set(app.tasks)


def test_an_overdue_job_is_ended() -> None:
    job = a_job(now() - timedelta(minutes=2))

    tasks.end_overdue_jobs()

    assert Job.objects.get(uuid=job.uuid).status == "horde_failed"
    assert not Outbox.objects.exists()


def test_what_is_over_is_forgotten() -> None:
    SpentNonce.objects.create(nonce="n", expires_at=now() - timedelta(seconds=1))
    connect_bob(now() - timedelta(minutes=4))

    tasks.forget_what_is_over()

    assert not SpentNonce.objects.exists()
    assert not ValidatorConnection.objects.exists()


def test_all_old_jobs_are_evicted() -> None:
    a_job(now() - timedelta(days=8))
    tasks.end_overdue_jobs()

    tasks.evict_old_jobs()

    assert not Job.objects.exists()


def test_without_a_network_the_operators_validators_stay() -> None:
    connect_bob()

    tasks.sync_validators()

    assert Validator.objects.get().ss58 == BOB.ss58

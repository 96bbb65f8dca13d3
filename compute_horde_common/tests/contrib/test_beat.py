import os
import subprocess
import sys
from pathlib import Path

MEMBER = Path(__file__).parent.parent.parent
PROGRAM = (
    "from compute_horde_common.contrib.django.celery import make_beat\n"
    "from django.apps import apps\n"
    "app = make_beat('small')\n"
    "app.loader.init_worker()\n"
    "print(apps.ready, app.conf.task_default_queue, app.conf.broker_url[:5])\n"
)


def test_beat_gets_along_without_djangos_apps() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=MEMBER,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.small_service.settings"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == ["False", "small", "redis"]

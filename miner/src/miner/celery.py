"""The worker: ``celery -A miner.celery worker``."""

import os

from compute_horde_common.contrib.django.celery import make_app

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "miner.settings")
app = make_app("miner")

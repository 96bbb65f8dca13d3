"""What sends the periodic tasks: ``celery -A miner.beat beat``."""

import os

from compute_horde_common.contrib.django.celery import make_beat

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "miner.settings")
app = make_beat("miner")

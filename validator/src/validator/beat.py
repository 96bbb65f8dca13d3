"""What sends the periodic tasks: ``celery -A validator.beat beat``."""

import os

from compute_horde_common.contrib.django.celery import make_beat

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "validator.settings")
app = make_beat("validator")

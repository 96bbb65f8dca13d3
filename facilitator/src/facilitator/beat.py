"""What sends the periodic tasks: ``celery -A facilitator.beat beat``."""

import os

from compute_horde_common.contrib.django.celery import make_beat

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "facilitator.settings")
app = make_beat("facilitator")

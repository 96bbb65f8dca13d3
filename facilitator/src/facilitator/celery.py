"""The worker: ``celery -A facilitator.celery worker``."""

import os

from compute_horde_common.contrib.django.celery import make_app

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "facilitator.settings")

app = make_app("facilitator")

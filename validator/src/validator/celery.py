"""The worker: ``celery -A validator.celery worker``."""

import os

from compute_horde_common.contrib.django.celery import make_app

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "validator.settings")
app = make_app("validator")

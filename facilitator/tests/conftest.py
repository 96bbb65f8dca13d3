"""Gives the tests the facilitator's settings, a database and Redis."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "facilitator.settings")
os.environ.setdefault("JWT_SECRET", "only-for-tests-" + "1" * 40)

pytest_plugins = ["compute_horde_common.contrib.django.testing"]

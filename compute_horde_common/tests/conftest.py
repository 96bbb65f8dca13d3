"""Gives the tests of ``contrib.django`` a service to run in."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.small_service.settings")

pytest_plugins = ["compute_horde_common.contrib.django.testing"]

"""Every service's apps at once, for mypy's Django plugin and for the tests that span services.

Without a ``DATABASE_URL`` the models can be looked at, and no more.
"""

import os

from compute_horde_common.contrib.django import defaults
from compute_horde_common.contrib.django.config import ServiceConfig

SECRET_KEY = "only-for-tests"
BEHIND_PROXY = False
INSTALLED_APPS = [*defaults.APPS, "facilitator", "validator", "miner"]
MIDDLEWARE = defaults.MIDDLEWARE
TEMPLATES = defaults.TEMPLATES
STATIC_URL = defaults.STATIC_URL
ROOT_URLCONF = "facilitator.urls"

DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": ""}}
REDIS_URL = os.environ.get("REDIS_URL", "")
if "DATABASE_URL" in os.environ:
    DATABASES["default"] = {
        **defaults.postgres(ServiceConfig()),
        "ENGINE": "tests.conversations.postgres_per_side",
    }

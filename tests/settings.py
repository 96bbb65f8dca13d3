"""Every service's apps at once, for mypy's Django plugin and for the tests that span services."""

import os

SECRET_KEY = "tests"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "compute_horde_common.contrib.django",
    "facilitator",
    "validator",
    "miner",
]
DATABASES = {
    "default": {"ENGINE": "django.db.backends.postgresql", "NAME": os.environ.get("PGDATABASE", "")}
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
REDIS_URL = os.environ.get("REDIS_URL", "")
ROOT_URLCONF = "facilitator.urls"

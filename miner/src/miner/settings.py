"""Django's settings; everything an operator may change is in `config`."""

from datetime import timedelta

from compute_horde_common.contrib.django import defaults
from miner.config import config

SECRET_KEY = config.secret_key.get_secret_value()
DEBUG = config.debug
ALLOWED_HOSTS = [*config.allowed_hosts, *defaults.OWN_HOSTS]
CSRF_TRUSTED_ORIGINS = config.csrf_trusted_origins
BEHIND_PROXY = config.behind_proxy
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "miner_session", "miner_csrf"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = config.https
SESSION_COOKIE_AGE = defaults.SESSION_SECONDS
CSRF_COOKIE_HTTPONLY = True
SECURE_REDIRECT_EXEMPT = defaults.PLAIN_PATHS
SECURE_PROXY_SSL_HEADER = defaults.proxy_ssl_header(config)
SECURE_HSTS_SECONDS = defaults.hsts_seconds(config)
SILENCED_SYSTEM_CHECKS = defaults.silenced_checks(config)

INSTALLED_APPS = [*defaults.APPS, "miner"]
MIDDLEWARE = defaults.MIDDLEWARE
TEMPLATES = defaults.TEMPLATES
ROOT_URLCONF = "miner.urls"
ASGI_APPLICATION = "miner.asgi.application"
STATIC_URL = defaults.STATIC_URL
STATIC_ROOT = config.static_root
WHITENOISE_USE_FINDERS = defaults.WHITENOISE_USE_FINDERS
AUTH_PASSWORD_VALIDATORS = defaults.AUTH_PASSWORD_VALIDATORS

DATABASES = {"default": defaults.postgres(config)}
REDIS_URL = str(config.redis_url)
LOGGING = defaults.logging(config)
MIGRATING = config.migrating

TIME_ZONE = "UTC"
FORMAT_MODULE_PATH = defaults.FORMAT_MODULE_PATH
UNFOLD = defaults.theme("miner")

_ON_CHAIN = {
    "sync_validators": {
        "task": "miner.tasks.sync_validators",
        "schedule": timedelta(seconds=config.chain_sync_seconds),
    },
    "announce_address": {
        "task": "miner.tasks.announce_address",
        "schedule": timedelta(seconds=config.chain_sync_seconds),
    },
}
CELERY_BEAT_SCHEDULE = {
    **({} if config.is_local_miner else _ON_CHAIN),
    "forget_old_data": {
        "task": "miner.tasks.forget_old_data",
        "schedule": timedelta(minutes=10),
    },
}

"""Django's settings of the facilitator."""

from compute_horde_common.contrib.django import defaults
from compute_horde_common.protocol.rest import MAX_BODY_BYTES
from facilitator.config import config

SECRET_KEY = config.secret_key.get_secret_value()
DEBUG = config.debug
ALLOWED_HOSTS = [*config.allowed_hosts, *defaults.OWN_HOSTS]
CSRF_TRUSTED_ORIGINS = config.csrf_trusted_origins
BEHIND_PROXY = config.behind_proxy
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "facilitator_session", "facilitator_csrf"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = config.https
SESSION_COOKIE_AGE = defaults.SESSION_SECONDS
CSRF_COOKIE_HTTPONLY = True
SECURE_REDIRECT_EXEMPT = defaults.PLAIN_PATHS
SECURE_PROXY_SSL_HEADER = defaults.proxy_ssl_header(config)
SECURE_HSTS_SECONDS = defaults.hsts_seconds(config)
SILENCED_SYSTEM_CHECKS = defaults.silenced_checks(config)
INSTALLED_APPS = [*defaults.APPS, "ninja", "facilitator"]
MIDDLEWARE = [*defaults.MIDDLEWARE, "facilitator.api.errors.refusals_are_json"]
TEMPLATES = defaults.TEMPLATES
AUTH_PASSWORD_VALIDATORS = defaults.AUTH_PASSWORD_VALIDATORS
DATABASES = {"default": defaults.postgres(config)}
REDIS_URL = str(config.redis_url)
LOGGING = defaults.logging(config)
ROOT_URLCONF = "facilitator.urls"
ASGI_APPLICATION = "facilitator.asgi.application"
STATIC_URL = defaults.STATIC_URL
STATIC_ROOT = config.static_root
WHITENOISE_USE_FINDERS = defaults.WHITENOISE_USE_FINDERS
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES
TIME_ZONE = "UTC"
FORMAT_MODULE_PATH = defaults.FORMAT_MODULE_PATH
UNFOLD = defaults.theme("facilitator")

CELERY_BEAT_SCHEDULE = {
    "end overdue jobs": {"task": "facilitator.tasks.end_overdue_jobs", "schedule": 5.0},
    "sync validators": {
        "task": "facilitator.tasks.sync_validators",
        "schedule": config.chain_sync_seconds,
    },
    "forget what is over": {"task": "facilitator.tasks.forget_what_is_over", "schedule": 60.0},
    "evict old jobs": {"task": "facilitator.tasks.evict_old_jobs", "schedule": 3600.0},
}

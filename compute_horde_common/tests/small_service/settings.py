"""Its settings, which show what a service's look like."""

from compute_horde_common.contrib.django import defaults
from compute_horde_common.contrib.django.config import ServiceConfig, load

config = load(ServiceConfig)

SECRET_KEY = config.secret_key.get_secret_value()
DEBUG = config.debug
ALLOWED_HOSTS = config.allowed_hosts
BEHIND_PROXY = config.behind_proxy
INSTALLED_APPS = [*defaults.APPS]
MIDDLEWARE = defaults.MIDDLEWARE
TEMPLATES = defaults.TEMPLATES
AUTH_PASSWORD_VALIDATORS = defaults.AUTH_PASSWORD_VALIDATORS
DATABASES = {"default": defaults.postgres(config)}
REDIS_URL = str(config.redis_url)
LOGGING = defaults.logging(config)
ROOT_URLCONF = "tests.small_service.urls"
STATIC_URL = defaults.STATIC_URL
WHITENOISE_USE_FINDERS = defaults.WHITENOISE_USE_FINDERS

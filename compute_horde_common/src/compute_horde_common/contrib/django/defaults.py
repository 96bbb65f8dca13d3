"""Values for a service's settings module, which names each setting itself.

DATABASES = {"default": defaults.postgres(config)}
"""

from typing import Any
from urllib.parse import parse_qsl, unquote

from compute_horde_common.contrib.django.config import ServiceConfig
from compute_horde_common.telemetry.logs import stdlib_config

POOL_MAX_CONNECTIONS = 8
POOL_WAIT_SECONDS = 10
CONNECT_LIMIT_SECONDS = 5
SESSION_SECONDS = 12 * 3600
MAX_BODY_BYTES = 12 * 1024 * 1024
HSTS_SECONDS = 365 * 24 * 3600

APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "compute_horde_common.contrib.django",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "compute_horde_common.contrib.django.content_policy.admin_runs_only_its_own",
    "compute_horde_common.contrib.django.logins.throttle_logins",
]

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

FORMAT_MODULE_PATH = "compute_horde_common.contrib.django.formats"
PLAIN_PATHS = ["^health$", "^version$", "^receipts/"]
"""What machines ask for over plain HTTP, also where people come over HTTPS."""

_DECIDED_BY_THE_DOMAINS_OWNER = ["security.W005", "security.W021"]
"""Whether other hosts of the domain speak HTTPS is not ours to promise: HSTS for subdomains, and
the browsers' preload list."""
_ONLY_WITH_HTTPS = [
    "security.W004",  # HSTS would lock visitors out
    "security.W008",  # there is nowhere to redirect to
    "security.W012",  # a secure session cookie would never be sent, so nobody could log in
    "security.W016",  # likewise the cookie against forged requests
]
"""What a service on a private address, or behind a tunnel, has to do without."""

OWN_HOSTS = ("127.0.0.1", "localhost")
"""Health checks come from the machine itself, whatever its name is."""

STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True
"""The admin's files are served from where they are installed; nothing has to be collected."""


def postgres(config: ServiceConfig) -> dict[str, Any]:
    """A connection pool per process, which opens connections as they are needed."""
    host = config.database_url.hosts()[0]
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote((config.database_url.path or "/").removeprefix("/")),
        "USER": unquote(host["username"] or ""),
        "PASSWORD": unquote(host["password"] or ""),
        "HOST": unquote(host["host"] or ""),
        "PORT": str(host["port"] or ""),
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": CONNECT_LIMIT_SECONDS,
            **dict(parse_qsl(config.database_url.query or "")),
            "pool": {
                "min_size": 1,
                "max_size": POOL_MAX_CONNECTIONS,
                "timeout": POOL_WAIT_SECONDS,
                "num_workers": 1,
            },
        },
    }


def logging(config: ServiceConfig) -> dict[str, Any]:
    """For ``LOGGING``; sets up structlog as well."""
    return stdlib_config(config.log_format, config.log_level)


def proxy_ssl_header(config: ServiceConfig) -> tuple[str, str] | None:
    """For ``SECURE_PROXY_SSL_HEADER``: only a proxy that we know of may say how a visitor came."""
    return ("HTTP_X_FORWARDED_PROTO", "https") if config.https else None


def hsts_seconds(config: ServiceConfig) -> int:
    """For ``SECURE_HSTS_SECONDS``."""
    return HSTS_SECONDS if config.https else 0


def silenced_checks(config: ServiceConfig) -> list[str]:
    """For ``SILENCED_SYSTEM_CHECKS``: what ``check --deploy`` need not say again."""
    return _DECIDED_BY_THE_DOMAINS_OWNER if config.https else _ONLY_WITH_HTTPS


def theme(service: str) -> dict[str, Any]:
    """For ``UNFOLD``."""
    return {
        "SITE_TITLE": f"ComputeHorde {service}",
        "SITE_HEADER": service.capitalize(),
        "SITE_SUBHEADER": "All times are UTC",
        "SITE_SYMBOL": "memory",
        "SITE_FAVICONS": [{"rel": "icon", "href": f"{STATIC_URL}common/favicon.svg"}],
        "STYLES": [f"{STATIC_URL}common/admin.css"],
    }

"""Whether a service can work, and which version it is."""

from importlib.metadata import PackageNotFoundError, version

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, path
from django.views.decorators.http import require_safe
from psycopg_pool import PoolTimeout
from redis import Redis
from redis.exceptions import RedisError

from compute_horde_common.telemetry import metrics

REDIS_LIMIT_SECONDS = 2.0


@require_safe
def health(_request: HttpRequest) -> JsonResponse:
    """200 if database and Redis answer, else 503; says which does not."""
    checks = {"database": _database_answers(), "redis": _redis_answers()}
    healthy = all(checks.values())
    body = {"status": "ok" if healthy else "unhealthy", **checks}
    return JsonResponse(body, status=200 if healthy else 503)


@require_safe
def service_version(_request: HttpRequest) -> JsonResponse:
    """The service's name and version."""
    service = settings.ROOT_URLCONF.partition(".")[0]
    return JsonResponse({"service": service, "version": _installed(service)})


@require_safe
def prometheus(_request: HttpRequest) -> HttpResponse:
    """The metrics of this process."""
    return HttpResponse(metrics.exposition(), content_type=metrics.CONTENT_TYPE)


health_urls: list[URLPattern] = [
    path("health", health),
    path("version", service_version),
]


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, PoolTimeout):
        return False
    return True


def _redis_answers() -> bool:
    try:
        with Redis.from_url(
            settings.REDIS_URL,
            socket_timeout=REDIS_LIMIT_SECONDS,
            socket_connect_timeout=REDIS_LIMIT_SECONDS,
        ) as redis:
            return bool(redis.ping())
    except RedisError:
        return False


def _installed(service: str) -> str:
    try:
        return version(f"compute-horde-{service}")
    except PackageNotFoundError:
        return version("compute-horde-common")

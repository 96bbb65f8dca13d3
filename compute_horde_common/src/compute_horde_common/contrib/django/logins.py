"""Throttles logins to the admin, per address and per user name. Tries are rows, so all processes
of a service count together, and a restart forgets none."""

import math
import unicodedata
from datetime import datetime, timedelta
from http import HTTPStatus
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Final

import structlog
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.crypto import salted_hmac

from compute_horde_common.clock import SystemClock
from compute_horde_common.contrib.django.content_policy import Respond
from compute_horde_common.contrib.django.models import FailedLogin

WINDOW: Final = timedelta(minutes=15)
MOST_FROM_ADDRESS: Final = 10
MOST_FOR_NAME: Final = 20
"""More than from one address: who only wants to keep an operator out needs several."""
_IPV6_OF_ONE_VISITOR: Final = 64

log = structlog.get_logger(__name__)


def throttle_logins(respond: Respond) -> Respond:
    """Middleware; comes last, so that a forged request is refused without being counted."""

    def respond_or_refuse(request: HttpRequest) -> HttpResponseBase:
        if request.method != "POST" or request.path_info != reverse("admin:login"):
            return respond(request)
        return _try(request, respond)

    return respond_or_refuse


def note_try(address: str, name: str, at: datetime) -> list[FailedLogin] | timedelta:
    """Counts a login that is about to be tried as failed.

    It is counted before the password is looked at: of many tries at once, no more pass than one
    after the other.

    Args:
        address: where it comes from, as `visitor` says.
        name: the user name that is given.
        at: now.

    Returns:
        The rows, to be deleted should the login not have failed; or how long to wait, if there
        were too many.
    """
    FailedLogin.objects.filter(at__lte=at - WINDOW).delete()
    limits = {f"address {address}": MOST_FROM_ADDRESS, _subject_of(name): MOST_FOR_NAME}
    rows = FailedLogin.objects.bulk_create(
        [FailedLogin(subject=subject, at=at) for subject in limits]
    )
    waits = [_wait(subject, most, at) for subject, most in limits.items()]
    if not any(waits):
        return rows
    withdraw(rows)
    return max(waits)


def withdraw(rows: list[FailedLogin]) -> None:
    """Takes back what `note_try` counted."""
    FailedLogin.objects.filter(pk__in=[row.pk for row in rows]).delete()


def forgive(name: str) -> None:
    """Forgets the failures of somebody who is in now."""
    FailedLogin.objects.filter(subject=_subject_of(name)).delete()


def visitor(request: HttpRequest) -> str:
    """Where a request comes from: an IPv4 address, or the network that one IPv6 visitor has."""
    told = request.META.get("HTTP_X_REAL_IP") if settings.BEHIND_PROXY else None
    try:
        address = ip_address(str(told or request.META.get("REMOTE_ADDR")).strip())
    except ValueError:
        return "unknown"
    if not isinstance(address, IPv6Address):
        return str(address)
    return str(address.ipv4_mapped or IPv6Network((address, _IPV6_OF_ONE_VISITOR), strict=False))


def _try(request: HttpRequest, respond: Respond) -> HttpResponseBase:
    name, address = request.POST.get("username", ""), visitor(request)
    noted = note_try(address, name, SystemClock().now())
    if isinstance(noted, timedelta):
        log.warning("login refused, too many have failed", address=address)
        return _refusal(request, noted)
    response = respond(request)
    match response.status_code:
        case HTTPStatus.FOUND:
            withdraw(noted)
            forgive(name)
        case HTTPStatus.OK:
            log.warning("login failed", address=address)
        case _:
            withdraw(noted)
    return response


def _wait(subject: str, most: int, at: datetime) -> timedelta:
    """Until fewer than ``most`` tries are left in the window, besides the one that was noted."""
    tries = FailedLogin.objects.filter(subject=subject).order_by("-at", "-id")
    passed = tries.values_list("at", flat=True)[most : most + 1].first()
    return passed + WINDOW - at if passed else timedelta()


def _subject_of(name: str) -> str:
    spelt = unicodedata.normalize("NFKC", name).strip().casefold()
    return "name " + salted_hmac("failed logins", spelt, algorithm="sha256").hexdigest()


def _refusal(request: HttpRequest, wait: timedelta) -> HttpResponseBase:
    minutes = math.ceil(wait / timedelta(minutes=1))
    context = {**admin.site.each_context(request), "title": "Too many logins", "minutes": minutes}
    response = render(
        request, "admin/too_many_logins.html", context, status=HTTPStatus.TOO_MANY_REQUESTS
    )
    response.headers["Retry-After"] = str(math.ceil(wait.total_seconds()))
    return response

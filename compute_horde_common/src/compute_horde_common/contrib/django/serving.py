"""The switch by which a service takes no new work, while what runs goes on to its end: for
upgrades, repairs and the way to another server. All processes see a change at once."""

from datetime import datetime
from typing import Final

import structlog
from django.conf import settings
from django.db import connection, transaction

from compute_horde_common.contrib.django.mailbox import wake_on_commit
from compute_horde_common.contrib.django.models.serving import Serving

TOPIC: Final = "serving"
"""Serving was switched on or off."""
_LOCK: Final = 0x5E57E

log = structlog.get_logger(__name__)


def state() -> Serving:
    """The switch as it is. Where it was never touched, it is on, unless MIGRATING is set."""
    found = Serving.objects.filter(id=1).first()
    return found or Serving(on=not getattr(settings, "MIGRATING", False))


def is_serving() -> bool:
    """Whether this service takes new work."""
    return state().on


def may_take_work() -> bool:
    """The same, for the transaction that takes some: nobody switches serving off before its end,
    so whoever has done that sees all work there is."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [_LOCK])
    return is_serving()


def switch_on(reason: str, at: datetime) -> bool:
    """Lets the service take new work; false if it does already."""
    return _switch(on=True, reason=reason, at=at)


def switch_off(reason: str, at: datetime) -> bool:
    """Keeps the service from taking new work; false if it takes none already, and then the reason
    stays what it was."""
    return _switch(on=False, reason=reason, at=at)


@transaction.atomic
def _switch(*, on: bool, reason: str, at: datetime) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    if is_serving() == on:
        return False
    row = {"on": on, "reason": reason, "switched_at": at}
    Serving.objects.update_or_create(id=1, defaults=row)
    wake_on_commit(TOPIC)
    log.info("serving switched", on=on, reason=reason)
    return True

"""The Django application that every service shares: receipts, outbox and the serving switch."""

from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.db.models.signals import post_migrate
from typing_extensions import override

from compute_horde_common.clock import SystemClock


class CommonConfig(AppConfig):
    """Its label, and so the prefix of its tables, is ``common``."""

    name = "compute_horde_common.contrib.django"
    label = "common"
    verbose_name = "Shared"
    default_auto_field = "django.db.models.BigAutoField"

    @override
    def ready(self) -> None:
        post_migrate.connect(_set_up_switch, sender=self)


def _set_up_switch(sender: AppConfig, apps: Any = None, **_: object) -> None:  # noqa: ANN401
    """A service's first start decides; later ones change nothing. ``apps``: Django's registry of
    models, as they are after these migrations; none where tables were only emptied."""
    registry: Any = apps or sender.apps
    try:
        model = registry.get_model("common", "Serving")
    except LookupError:  # migrated backwards, to before there was a switch
        return
    migrating = bool(getattr(settings, "MIGRATING", False))
    row = {
        "on": not migrating,
        "reason": "MIGRATING was set at the first start" if migrating else "",
        "switched_at": SystemClock().now(),
    }
    model.objects.get_or_create(id=1, defaults=row)

"""The Django application that every service shares: receipts and outbox."""

from django.apps import AppConfig


class CommonConfig(AppConfig):
    """Its label, and so the prefix of its tables, is ``common``."""

    name = "compute_horde_common.contrib.django"
    label = "common"
    verbose_name = "Shared"
    default_auto_field = "django.db.models.BigAutoField"

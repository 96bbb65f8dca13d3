"""The miner as a Django app; its label is the service's name."""

from django.apps import AppConfig


class MinerApp(AppConfig):
    """Everything that the miner stores."""

    name = "miner"
    label = "miner"
    default_auto_field = "django.db.models.BigAutoField"

"""The validator as a Django app; its label is the service's name."""

from django.apps import AppConfig


class ValidatorApp(AppConfig):
    """Everything that the validator stores."""

    name = "validator"
    label = "validator"
    default_auto_field = "django.db.models.BigAutoField"

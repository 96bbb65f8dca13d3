"""The facilitator as a Django app; its label is the service's name."""

from django.apps import AppConfig


class FacilitatorApp(AppConfig):
    """Everything that the facilitator stores."""

    name = "facilitator"
    label = "facilitator"
    default_auto_field = "django.db.models.BigAutoField"

"""Whom the miner serves."""

from django.db import models
from typing_extensions import override

from compute_horde_common.contrib.django.models import HOTKEY_LENGTH


class Validator(models.Model):
    """A validator on chain, or one that a person let in (``debug``)."""

    hotkey = models.CharField(max_length=HOTKEY_LENGTH, unique=True)
    active = models.BooleanField(default=True)
    debug = models.BooleanField(
        default=False, help_text="Stays active whatever the chain says of it."
    )
    since = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("hotkey",)

    @override
    def __str__(self) -> str:
        return self.hotkey


class BlacklistedValidator(models.Model):
    """A validator whose offers are declined."""

    hotkey = models.CharField(max_length=HOTKEY_LENGTH, unique=True)
    note = models.CharField(max_length=200, blank=True)
    since = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("hotkey",)

    @override
    def __str__(self) -> str:
        return self.hotkey

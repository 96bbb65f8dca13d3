"""Who may use the API, and which login nonces are used up."""

from django.db import models
from django.db.models.functions import Now
from typing_extensions import override

from compute_horde_common.contrib.django.models import HOTKEY_LENGTH


class AllowedHotkey(models.Model):
    """A hotkey that may submit jobs."""

    ss58 = models.CharField("hotkey", max_length=HOTKEY_LENGTH, unique=True)
    note = models.CharField(max_length=200, blank=True, help_text="whose it is")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ("ss58",)

    @override
    def __str__(self) -> str:
        return self.ss58


class SpentNonce(models.Model):
    """A nonce that made a login. Kept until the nonce would have expired anyway."""

    nonce = models.CharField(max_length=200, unique=True)
    expires_at = models.DateTimeField(db_index=True)

    @override
    def __str__(self) -> str:
        return self.nonce

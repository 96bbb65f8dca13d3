"""The validators, and the sockets on which they are connected."""

from django.db import models
from django.db.models.functions import Now
from typing_extensions import override

from compute_horde_common.contrib.django.models import HOTKEY_LENGTH

VERSION_LENGTH = 100


class Source(models.TextChoices):
    """Who says that somebody is a validator."""

    CHAIN = "chain", "the chain"
    OPERATOR = "admin", "the operator"


class Validator(models.Model):
    """A validator. Rows of the operator's are not touched by what the chain says."""

    ss58 = models.CharField("hotkey", max_length=HOTKEY_LENGTH, primary_key=True)
    active = models.BooleanField(default=True, help_text="may connect and get jobs")
    source = models.CharField(max_length=10, choices=Source, default=Source.OPERATOR)
    version = models.CharField(max_length=VERSION_LENGTH, blank=True)
    runner_version = models.CharField(max_length=VERSION_LENGTH, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ("ss58",)

    @override
    def __str__(self) -> str:
        return self.ss58


class ValidatorConnection(models.Model):
    """An open socket of a validator that has authenticated itself."""

    validator = models.ForeignKey(Validator, on_delete=models.CASCADE, related_name="connections")
    connected_at = models.DateTimeField()
    last_heartbeat = models.DateTimeField(db_index=True)
    job_control = models.BooleanField(
        default=False, help_text="takes cancellations, and tells output and progress"
    )

    class Meta:
        ordering = ("-connected_at",)

    @override
    def __str__(self) -> str:
        return f"{self.validator_id} since {self.connected_at}"

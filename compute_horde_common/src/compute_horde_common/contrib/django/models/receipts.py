"""Receipts as they were signed. Rows are never changed."""

from django.db import models
from django.db.models.functions import Now
from typing_extensions import override

HOTKEY_LENGTH = 64


class StoredReceipt(models.Model):
    """One receipt; columns beside ``payload`` and ``line`` only repeat it for queries."""

    receipt_type = models.CharField(max_length=40)
    job_uuid = models.UUIDField()
    validator_hotkey = models.CharField(max_length=HOTKEY_LENGTH)
    miner_hotkey = models.CharField(max_length=HOTKEY_LENGTH)
    timestamp = models.DateTimeField(help_text="When it was made, as it says itself.")
    executor_class = models.CharField(max_length=100, null=True)  # noqa: DJ001 - absent, not empty
    is_organic = models.BooleanField(null=True)
    ttl = models.PositiveIntegerField(null=True, help_text="Seconds for which it holds.")
    validator_signature = models.CharField(max_length=256)
    miner_signature = models.CharField(max_length=256, null=True)  # noqa: DJ001 - not signed yet
    payload = models.TextField(help_text="The text that was signed.")
    line = models.TextField(help_text="The whole receipt, as pages show it.")
    page = models.BigIntegerField(null=True, help_text="The page on which it is published.")
    stored_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name = "receipt"
        constraints = [
            models.UniqueConstraint(fields=["receipt_type", "job_uuid"], name="receipt_once")
        ]
        indexes = [
            models.Index(fields=["page", "id"], name="receipt_page"),
            models.Index(fields=["job_uuid"], name="receipt_job"),
            models.Index(fields=["miner_hotkey", "timestamp"], name="receipt_miner"),
            models.Index(fields=["validator_hotkey", "timestamp"], name="receipt_validator"),
            models.Index(fields=["timestamp"], name="receipt_time"),
        ]

    @override
    def __str__(self) -> str:
        return f"{self.receipt_type} of job {self.job_uuid}"

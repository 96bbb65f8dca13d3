"""Messages that must reach a peer, until it confirms them."""

from django.db import models
from django.db.models.functions import Now
from typing_extensions import override


class Outbox(models.Model):
    """One message. Rows of one recipient are delivered in the order of their ids."""

    recipient = models.CharField(max_length=200, help_text="Whom it is for, e.g. facilitator.")
    about = models.CharField(max_length=36, db_index=True, help_text="The job's UUID.")
    body = models.TextField(help_text="The frame, as it is sent.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    not_before = models.DateTimeField(
        null=True, help_text="Being delivered until then; empty: not tried yet."
    )
    attempts = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name_plural = "outbox"
        indexes = [models.Index(fields=["recipient", "id"], name="outbox_recipient")]

    @override
    def __str__(self) -> str:
        return f"{self.recipient} about {self.about}"

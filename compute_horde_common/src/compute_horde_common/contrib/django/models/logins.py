"""Logins that were tried and did not succeed, so that guessing passwords takes for ever."""

from django.db import models
from typing_extensions import override


class FailedLogin(models.Model):
    """One try, counted for one subject: where it came from, or whom it was for. User names are
    kept as digests, as some of them are passwords in the wrong field."""

    subject = models.CharField(max_length=100)
    at = models.DateTimeField(db_index=True)

    class Meta:
        indexes = [models.Index(fields=["subject", "at"], name="failed_logins_of_subject")]

    @override
    def __str__(self) -> str:
        return f"{self.subject} at {self.at}"

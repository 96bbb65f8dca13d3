"""Jobs, where each one is, and on which miners it was tried. What peers wrote is kept as JSON
text: PostgreSQL's own JSON type refuses some of it (NUL)."""

from django.db import models
from django.db.models import Q
from typing_extensions import override

from compute_horde_common.contrib.django.models import HOTKEY_LENGTH
from compute_horde_common.jobs.lifecycle import JobStatus
from validator.domain.phases import Phase

STATUSES = [(status.value, status.value) for status in JobStatus]
PHASES = [(phase.value, phase.value) for phase in Phase]
ENDED = [status.value for status in JobStatus if status.is_end]


class Job(models.Model):
    """A job that the facilitator relayed to us."""

    uuid = models.UUIDField(primary_key=True)
    status = models.CharField(max_length=20, choices=STATUSES)
    executor_class = models.CharField(max_length=64)
    on_trusted_miner = models.BooleanField(default=False)
    namespace = models.CharField(max_length=255, blank=True)
    signatory = models.CharField(max_length=HOTKEY_LENGTH, blank=True)
    signature_identity = models.CharField(  # noqa: DJ001 - absent ones must not collide
        max_length=64, unique=True, null=True, help_text="one signature makes one job"
    )
    request = models.TextField(help_text="as the facilitator sent it, JSON")
    received_at = models.DateTimeField(db_index=True)
    cancel_requested_at = models.DateTimeField(
        null=True, help_text="when its author asked for its end"
    )
    ended_at = models.DateTimeField(null=True)
    cheated = models.BooleanField(default=False, help_text="its author says that the miner cheated")
    cheat_report = models.TextField(blank=True)

    class Meta:
        ordering = ("-received_at",)
        indexes = [
            models.Index(fields=["received_at"], name="open_jobs", condition=~Q(status__in=ENDED))
        ]

    @override
    def __str__(self) -> str:
        return str(self.uuid)


class StatusChange(models.Model):
    """A status that a job reached. Each at most once, in the order of their ids."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="history")
    status = models.CharField(max_length=20, choices=STATUSES)
    at = models.DateTimeField()
    metadata = models.TextField(blank=True)

    class Meta:
        ordering = ("id",)
        constraints = [
            models.UniqueConstraint(fields=["job", "status"], name="status_once_per_job")
        ]

    @override
    def __str__(self) -> str:
        return self.status


class Attempt(models.Model):
    """A job on one miner. While it is open, the job can be resumed from this row alone."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="attempts")
    miner_hotkey = models.CharField(max_length=HOTKEY_LENGTH)
    host = models.CharField(max_length=255)
    port = models.IntegerField()
    executor_class = models.CharField(max_length=64)
    started_at = models.DateTimeField()
    offer = models.TextField(help_text="the very frame; it is sent again to resume the job")
    phase = models.CharField(max_length=20, choices=PHASES, default=Phase.RESERVATION)
    deadline = models.DateTimeField(null=True, help_text="when the phase must be over")
    ended_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=200, blank=True)
    farewell = models.TextField(
        blank=True, help_text="the finished receipt's frame, until it has been sent"
    )

    class Meta:
        ordering = ("id",)
        indexes = [
            models.Index(
                fields=["executor_class", "miner_hotkey"],
                name="open_attempts",
                condition=Q(ended_at=None),
            )
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["job"], name="one_open_attempt", condition=Q(ended_at=None)
            )
        ]

    @override
    def __str__(self) -> str:
        return f"{self.job_id} on {self.miner_hotkey}"


def plain(text: str, longest: int) -> str:
    """``text`` as a column takes it: without NUL, and not too long."""
    return text.replace("\0", "")[:longest]

"""Jobs, where each one is, and reports that a miner cheated. What users and validators wrote is
kept as JSON text: its order is part of what they signed, and PostgreSQL's JSON type loses it."""

import uuid

from django.db import models
from django.db.models import Q
from typing_extensions import override

from compute_horde_common.contrib.django.models import HOTKEY_LENGTH
from compute_horde_common.jobs.lifecycle import JobStatus
from compute_horde_common.protocol.live import MAX_PROGRESS_CHARACTERS
from facilitator.models.fleet import Validator

STATUSES = [(status.value, status.value) for status in JobStatus]
ENDED = [status.value for status in JobStatus if status.is_end]


class Job(models.Model):
    """A job that somebody submitted. Its progress is what it said last."""

    uuid = models.UUIDField(primary_key=True, default=uuid.uuid4)
    hotkey = models.CharField(max_length=HOTKEY_LENGTH, help_text="who submitted it")
    validator = models.ForeignKey(Validator, on_delete=models.PROTECT, related_name="jobs")
    status = models.CharField(max_length=20, choices=STATUSES)
    executor_class = models.CharField(max_length=64)
    docker_image = models.CharField(max_length=255)
    on_trusted_miner = models.BooleanField(default=False)
    namespace = models.CharField(max_length=100, null=True, blank=True)  # noqa: DJ001 - absent is not empty
    tag = models.CharField(max_length=255, blank=True)
    spec = models.TextField(help_text="what is to be run, JSON")
    signature = models.TextField(help_text="of the spec, JSON")
    signature_identity = models.CharField(
        max_length=64, unique=True, help_text="one signature makes one job"
    )
    idempotency_key = models.CharField(  # noqa: DJ001 - unique where there is one
        max_length=255, null=True, blank=True
    )
    fingerprint = models.CharField(max_length=64, help_text="of the request that made it")
    run_seconds = models.PositiveIntegerField(
        help_text="longest time from the validator's receipt of it to its end"
    )
    deadline = models.DateTimeField(
        null=True, help_text="when it fails if the validator says nothing; empty once it ended"
    )
    created_at = models.DateTimeField()
    last_update = models.DateTimeField(help_text="when it reached its status")
    cancel_requested_at = models.DateTimeField(null=True)
    progress_percent = models.FloatField(null=True, help_text="as the job says")
    progress_text = models.CharField(max_length=MAX_PROGRESS_CHARACTERS, blank=True, default="")
    progress_at = models.DateTimeField(null=True)
    log_bytes = models.PositiveBigIntegerField(default=0, help_text="of its output, told so far")
    log_pieces = models.PositiveIntegerField(default=0, help_text="of its output, told so far")

    class Meta:
        ordering = ("-created_at",)
        indexes = [
            models.Index(fields=["hotkey", "-created_at"], name="jobs_of_hotkey"),
            models.Index(fields=["created_at"], name="jobs_by_age"),
            models.Index(
                fields=["deadline"], name="jobs_open", condition=Q(deadline__isnull=False)
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["hotkey", "idempotency_key"], name="one_job_per_idempotency_key"
            )
        ]

    @override
    def __str__(self) -> str:
        return str(self.uuid)


class StatusChange(models.Model):
    """A status that a job reached. Each at most once, in the order of their ids."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="history")
    status = models.CharField(max_length=20, choices=STATUSES)
    metadata = models.TextField(blank=True, help_text="what there is to say about it, JSON")
    at = models.DateTimeField()

    class Meta:
        ordering = ("id",)
        constraints = [
            models.UniqueConstraint(fields=["job", "status"], name="status_once_per_job")
        ]

    @override
    def __str__(self) -> str:
        return self.status


class StoredPiece(models.Model):
    """A piece of what a job wrote. Readers ask for them by their numbers, which count from 0."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="pieces", db_index=False)
    number = models.PositiveBigIntegerField()
    stream = models.CharField(max_length=6)
    text = models.TextField()
    dropped = models.PositiveBigIntegerField(
        default=0, help_text="bytes of output that are missing just before it"
    )
    at = models.DateTimeField()

    class Meta:
        ordering = ("number",)
        constraints = [models.UniqueConstraint(fields=["job", "number"], name="piece_once_per_job")]

    @override
    def __str__(self) -> str:
        return f"{self.number} of {self.job_id}"


class CheatReport(models.Model):
    """The author of a job says that its miner cheated, compared with the same on a trusted one."""

    job = models.OneToOneField(Job, on_delete=models.CASCADE, related_name="cheat_report")
    trusted_job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="reports_backed")
    details = models.TextField(help_text="whatever the author says about it, JSON")
    created_at = models.DateTimeField()

    class Meta:
        ordering = ("-created_at",)

    @override
    def __str__(self) -> str:
        return f"about {self.job_id}"

"""Jobs that this miner took, and what it said to the validator about each."""

from django.db import models
from django.db.models import Q
from typing_extensions import override

from compute_horde_common.contrib.django.models import HOTKEY_LENGTH
from compute_horde_common.protocol.live import JobProgress
from miner.domain.progress import JobState

STATES = [(state.value, state.value) for state in JobState]


class Job(models.Model):
    """A job. ``offer`` and ``start`` are the validator's frames, as they came."""

    job_uuid = models.UUIDField(unique=True)
    validator = models.CharField(max_length=HOTKEY_LENGTH, db_index=True)
    executor_class = models.CharField(max_length=64)
    state = models.CharField(max_length=12, choices=STATES, default=JobState.ACCEPTED)
    offer = models.TextField()
    start = models.TextField(blank=True)
    accepted_at = models.DateTimeField(db_index=True)
    deadline = models.DateTimeField(help_text="When it must have left its present state.")
    last_activity = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    abandoned = models.BooleanField(
        default=False, help_text="Ended, and not because its executor said so."
    )
    cancel_requested_at = models.DateTimeField(
        null=True, help_text="When its author asked for its end."
    )
    closed_at = models.DateTimeField(null=True, help_text="When the validator was done with it.")
    outcome = models.CharField(max_length=300, blank=True)
    messages_said = models.PositiveIntegerField(default=0)
    live_bytes = models.PositiveIntegerField(
        default=0, help_text="Of its live output, in UTF-8; more than is kept once that is full."
    )
    live_pieces = models.PositiveIntegerField(default=0)
    socket = models.CharField(max_length=32, blank=True, help_text="The socket it was offered on.")
    socket_seen = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-accepted_at",)
        indexes = [
            models.Index(fields=["validator"], name="jobs_not_closed", condition=Q(closed_at=None))
        ]

    @override
    def __str__(self) -> str:
        return str(self.job_uuid)


class JobMessage(models.Model):
    """Something said to the validator about a job, until the validator is done with the job."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="messages")
    position = models.PositiveIntegerField()
    kind = models.CharField(max_length=40)
    text = models.TextField()
    said_at = models.DateTimeField()

    class Meta:
        ordering = ("job", "position")
        constraints = [
            models.UniqueConstraint(fields=["job", "position"], name="one_message_per_position")
        ]
        indexes = [
            models.Index(
                fields=["job"], name="latest_progress", condition=Q(kind=JobProgress.__name__)
            )
        ]

    @override
    def __str__(self) -> str:
        return f"{self.position}. {self.kind}"

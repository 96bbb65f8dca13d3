"""Slots and the executors in them."""

from django.db import models
from django.db.models import Q
from typing_extensions import override

from miner.domain.slots import ExecutorState
from miner.models.jobs import Job

STATES = [(state.value, state.value) for state in ExecutorState]


class Slot(models.Model):
    """The right to run one executor of a class. ``lease`` is the job that has it."""

    executor_class = models.CharField(max_length=64)
    index = models.PositiveIntegerField()
    offered = models.BooleanField(default=True, help_text="Configured now.")
    lease = models.OneToOneField(
        Job, null=True, blank=True, on_delete=models.SET_NULL, related_name="slot"
    )
    lease_expires = models.DateTimeField(null=True, blank=True)
    unfit = models.TextField(
        blank=True, help_text="Why its host is not offered, in its executor's words, by line."
    )
    unfit_at = models.DateTimeField(null=True, blank=True, help_text="When it last said so.")

    class Meta:
        ordering = ("executor_class", "index")
        constraints = [
            models.UniqueConstraint(fields=["executor_class", "index"], name="slot_once")
        ]

    @override
    def __str__(self) -> str:
        return f"{self.executor_class} {self.index}"


class Executor(models.Model):
    """One executor, from the decision to start it. ``handle`` is its manager's name for it."""

    token = models.CharField(max_length=80, unique=True)
    slot = models.ForeignKey(Slot, on_delete=models.CASCADE, related_name="executors")
    executor_class = models.CharField(max_length=64)
    manager = models.CharField(max_length=64)
    handle = models.TextField(blank=True)
    address = models.CharField(max_length=64, blank=True, help_text="Public, for streaming.")
    state = models.CharField(max_length=10, choices=STATES, default=ExecutorState.STARTING)
    job = models.ForeignKey(
        Job, null=True, blank=True, on_delete=models.SET_NULL, related_name="executors"
    )
    job_control = models.BooleanField(default=False, help_text="It understands a cancellation.")
    created_at = models.DateTimeField()
    connected_at = models.DateTimeField(null=True, blank=True)
    deadline = models.DateTimeField(null=True, blank=True)
    gone_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at",)
        constraints = [
            models.UniqueConstraint(
                fields=["slot"],
                name="one_executor_per_slot",
                condition=~Q(state=ExecutorState.GONE.value),
            )
        ]

    @override
    def __str__(self) -> str:
        return f"{self.executor_class} {self.token[:8]}"

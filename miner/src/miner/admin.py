"""The miner's admin panel: jobs with what was said about them, slots, executors, validators."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from typing_extensions import override

from compute_horde_common.contrib.django.admin import ModelAdmin, ReadOnlyAdmin, TabularInline
from compute_horde_common.protocol.live import JobLog
from miner.models import BlacklistedValidator, Executor, Job, JobMessage, Slot, Validator


class JobMessageInline(TabularInline):
    model = JobMessage
    fields = ("position", "kind", "said_at")
    readonly_fields = fields
    ordering = ("position",)

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[JobMessage]:
        """Without the job's output, which may come in very many pieces."""
        return super().get_queryset(request).exclude(kind=JobLog.__name__)


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    list_display = ("job_uuid", "state", "executor_class", "accepted_at", "ended_at", "outcome")
    list_filter = ("state", "executor_class")
    search_fields = ("job_uuid", "validator")
    fields = (
        "job_uuid",
        "validator",
        "executor_class",
        "state",
        "outcome",
        "abandoned",
        "accepted_at",
        "last_activity",
        "deadline",
        "cancel_requested_at",
        "ended_at",
        "closed_at",
    )
    inlines = (JobMessageInline,)


@admin.register(Slot)
class SlotAdmin(ReadOnlyAdmin):
    list_display = (
        "executor_class",
        "index",
        "offered",
        "unfit_because",
        "unfit_at",
        "lease",
        "lease_expires",
    )
    list_filter = ("executor_class", "offered")

    @admin.display(description="unfit because", empty_value="")
    def unfit_because(self, slot: Slot) -> str:
        """Why the slot's host is not offered."""
        return slot.unfit


@admin.register(Executor)
class ExecutorAdmin(ReadOnlyAdmin):
    list_display = ("short_token", "executor_class", "state", "job", "created_at", "gone_at")
    list_filter = ("state", "executor_class", "manager")
    fields = (
        "short_token",
        "executor_class",
        "slot",
        "manager",
        "handle",
        "address",
        "state",
        "job",
        "job_control",
        "created_at",
        "connected_at",
        "deadline",
        "gone_at",
    )

    @admin.display(description="executor")
    def short_token(self, executor: Executor) -> str:
        """The token is a credential, so it is not shown."""
        return executor.token[:8]


@admin.register(Validator)
class ValidatorAdmin(ModelAdmin):
    list_display = ("hotkey", "active", "debug", "since")
    list_filter = ("active", "debug")
    search_fields = ("hotkey",)


@admin.register(BlacklistedValidator)
class BlacklistedValidatorAdmin(ModelAdmin):
    list_display = ("hotkey", "note", "since")
    search_fields = ("hotkey",)

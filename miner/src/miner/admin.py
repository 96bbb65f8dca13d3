"""The miner's admin panel: jobs with what was said about them, slots, executors, validators."""

from django.contrib import admin

from compute_horde_common.contrib.django.admin import ModelAdmin, ReadOnlyAdmin, TabularInline
from miner.models import BlacklistedValidator, Executor, Job, JobMessage, Slot, Validator


class JobMessageInline(TabularInline):
    model = JobMessage
    fields = ("position", "kind", "said_at")
    readonly_fields = fields
    ordering = ("position",)


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
        "ended_at",
        "closed_at",
    )
    inlines = (JobMessageInline,)


@admin.register(Slot)
class SlotAdmin(ReadOnlyAdmin):
    list_display = ("executor_class", "index", "offered", "lease", "lease_expires")
    list_filter = ("executor_class", "offered")


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
        "created_at",
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

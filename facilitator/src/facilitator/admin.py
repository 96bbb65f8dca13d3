"""What operators see: jobs with their timelines, validators, connections, allowed hotkeys."""

import re
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.html import format_html
from typing_extensions import override

from compute_horde_common.clock import SystemClock
from compute_horde_common.contrib.django.admin import ModelAdmin, ReadOnlyAdmin, TabularInline
from facilitator.domain.refusals import Refused
from facilitator.models import (
    AllowedHotkey,
    CheatReport,
    Job,
    Source,
    StatusChange,
    StoredPiece,
    Validator,
    ValidatorConnection,
)
from facilitator.services import cancelling

MOST_CANCELLED = 100
"""At once, by an operator."""
LAST_PIECES = 20

_ADDRESS = re.compile("[1-9A-HJ-NP-Za-km-z]{46,49}")


class HotkeyForm(ModelForm):  # type: ignore[type-arg]  # generic for type checkers only
    """Takes addresses of keys only."""

    def clean_ss58(self) -> str:
        ss58 = str(self.cleaned_data["ss58"])
        if not _ADDRESS.fullmatch(ss58):
            raise ValidationError("This is no SS58 address.")
        return ss58


class Timeline(TabularInline):
    """The statuses of a job."""

    model = StatusChange
    fields = ("at", "status", "metadata")
    readonly_fields = fields
    ordering = ("id",)
    tab = False


class Connections(TabularInline):
    """The open sockets of a validator."""

    model = ValidatorConnection
    fields = ("connected_at", "last_heartbeat")
    readonly_fields = fields


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    list_display = (
        "uuid",
        "status",
        "executor_class",
        "docker_image",
        "hotkey",
        "validator",
        "tag",
        "progress",
        "created_at",
        "last_update",
    )
    list_filter = ("status", "executor_class", "on_trusted_miner", "validator", "created_at")
    search_fields = ("uuid", "hotkey", "validator__ss58", "docker_image", "tag", "namespace")
    list_select_related = ("validator",)
    ordering = ("-created_at",)
    inlines = (Timeline,)
    readonly_fields = ("output",)
    actions = ("cancel",)

    @admin.display(ordering="progress_percent")
    def progress(self, job: Job) -> str:
        if job.progress_percent is None:
            return ""
        return f"{job.progress_percent:g} % {job.progress_text}".strip()

    @admin.display(description=f"last {LAST_PIECES} pieces of output")
    def output(self, job: Job) -> str:
        last = StoredPiece.objects.filter(job=job).order_by("-number")[:LAST_PIECES]
        texts = last.values_list("text", flat=True)
        return format_html("<pre>{}</pre>", "".join(reversed(texts)))

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Cancelling changes a job, although its row cannot be edited here."""
        return bool(request.user.has_perm("facilitator.change_job"))

    @admin.action(description="Cancel", permissions=["cancel"])
    def cancel(self, request: HttpRequest, chosen: QuerySet[Job]) -> None:
        for job_uuid in chosen.values_list("uuid", flat=True)[:MOST_CANCELLED]:
            try:
                cancelling.cancel(job_uuid, None, SystemClock().now())
            except Refused as refusal:
                messages.warning(request, f"{job_uuid}: {refusal}")
            else:
                messages.success(request, f"{job_uuid}: is cancelled, or will be in a moment.")


@admin.register(StatusChange)
class StatusChangeAdmin(ReadOnlyAdmin):
    list_display = ("at", "job", "status")
    list_filter = ("status", "at")
    search_fields = ("job__uuid",)
    list_select_related = ("job",)
    ordering = ("-id",)


@admin.register(CheatReport)
class CheatReportAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "job", "trusted_job")
    search_fields = ("job__uuid", "trusted_job__uuid")
    list_select_related = ("job", "trusted_job")


@admin.register(Validator)
class ValidatorAdmin(ModelAdmin):
    form = HotkeyForm
    list_display = ("ss58", "active", "source", "version", "runner_version", "created_at")
    list_filter = ("active", "source")
    search_fields = ("ss58",)
    inlines = (Connections,)

    @override
    def get_readonly_fields(
        self, request: HttpRequest, obj: Validator | None = None
    ) -> tuple[str, ...]:
        """The hotkey is the row's key: another hotkey is another row."""
        fields = ("source", "version", "runner_version", "created_at")
        return fields if obj is None else ("ss58", *fields)

    @override
    def save_model(self, request: HttpRequest, obj: Validator, form: Any, change: Any) -> None:
        """What the operator says holds against the chain."""
        obj.source = Source.OPERATOR
        super().save_model(request, obj, form, change)


@admin.register(ValidatorConnection)
class ValidatorConnectionAdmin(ReadOnlyAdmin):
    list_display = ("validator", "connected_at", "last_heartbeat")
    list_select_related = ("validator",)
    ordering = ("-last_heartbeat",)


@admin.register(AllowedHotkey)
class AllowedHotkeyAdmin(ModelAdmin):
    form = HotkeyForm
    list_display = ("ss58", "note", "created_at")
    search_fields = ("ss58", "note")
    readonly_fields = ("created_at",)

"""What operators see: jobs with their timelines, validators, connections, allowed hotkeys."""

import re
from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.forms import ModelForm
from django.http import HttpRequest
from typing_extensions import override

from compute_horde_common.contrib.django.admin import ModelAdmin, ReadOnlyAdmin, TabularInline
from facilitator.models import (
    AllowedHotkey,
    CheatReport,
    Job,
    Source,
    StatusChange,
    Validator,
    ValidatorConnection,
)

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
        "created_at",
        "last_update",
    )
    list_filter = ("status", "executor_class", "on_trusted_miner", "validator", "created_at")
    search_fields = ("uuid", "hotkey", "validator__ss58", "docker_image", "tag", "namespace")
    list_select_related = ("validator",)
    ordering = ("-created_at",)
    inlines = (Timeline,)


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

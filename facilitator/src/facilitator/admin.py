"""What operators see: jobs with their timelines and results, validators, allowed hotkeys."""

from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, Prefetch, QuerySet
from django.http import HttpRequest
from typing_extensions import override

from compute_horde_common.clock import SystemClock
from compute_horde_common.contrib.django import rendering
from compute_horde_common.contrib.django.admin import (
    HotkeyAdmin,
    HotkeyForm,
    ReadOnlyAdmin,
    Row,
    labelled,
)
from compute_horde_common.contrib.django.job_pages import JobPages, Moment, timeline
from compute_horde_common.contrib.django.results import Result, in_words, metadata_in, result_in
from facilitator import wiring
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
from facilitator.models.jobs import ENDED
from facilitator.services import cancelling

MOST_CANCELLED = 100
"""At once, by an operator."""
LAST_PIECES = 20


class OurHotkeyForm(HotkeyForm):
    is_ss58 = staticmethod(wiring.is_ss58)


@admin.register(Job)
class JobAdmin(JobPages):
    list_display = (
        "whole_uuid",
        "state",
        "created_at",
        "took",
        "executor_class",
        "docker_image",
        "by",
        "to",
        "progress",
    )
    list_filter = (
        "status",
        "executor_class",
        "on_trusted_miner",
        ("cancel_requested_at", admin.EmptyFieldListFilter),
        ("cheat_report", admin.EmptyFieldListFilter),
        "created_at",
        "validator",
    )
    search_fields = ("hotkey", "validator__ss58", "docker_image", "tag", "namespace")
    search_help_text = "a whole UUID, or a part of a hotkey, image, tag or namespace"
    uuid_field = "uuid"
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    large = ("spec", "signature")
    actions = ("cancel",)
    fieldsets = (
        (None, {"fields": ("uuid", "state", "why", "history")}),
        ("What it left", {"fields": ("result", "output")}),
        (
            "Who and where",
            {
                "fields": (
                    "author",
                    "validator_page",
                    "on_trusted_miner",
                    "namespace",
                    "tag",
                    "cheating",
                )
            },
        ),
        (
            "When",
            {"fields": ("created_at", "took", "deadline", "cancel_requested_at", "progress")},
        ),
        ("What was asked for", {"fields": ("executor_class", "docker_image", "asked")}),
    )
    readonly_fields = (
        *("state", "why", "history", "result", "output", "author", "validator_page"),
        *("cheating", "took", "progress", "asked"),
    )

    @override
    def with_belongings(self, rows: QuerySet[Job]) -> QuerySet[Job]:
        last = StoredPiece.objects.order_by("-number")[:LAST_PIECES]
        pieces = Prefetch("pieces", queryset=last, to_attr="last_pieces")
        return rows.select_related("validator", "cheat_report").prefetch_related("history", pieces)

    @admin.display(description="job", ordering="uuid")
    def whole_uuid(self, job: Job) -> str:
        return rendering.unbroken(job.pk)

    @admin.display(description="hotkey", ordering="hotkey")
    def by(self, job: Job) -> str:
        return rendering.short(job.hotkey)

    @admin.display(description="validator", ordering="validator")
    def to(self, job: Job) -> str:
        return rendering.short(job.validator_id)

    @labelled("status", ordering="status")
    def state(self, job: Job) -> str:
        return job.status

    @admin.display(description="took")
    def took(self, job: Job) -> str:
        return rendering.duration(_took(job))

    @admin.display(ordering="progress_percent")
    def progress(self, job: Job) -> str:
        if job.progress_percent is None:
            return ""
        return f"{job.progress_percent:g} % {job.progress_text}".strip()

    @admin.display(description="why it ended")
    def why(self, job: Job) -> str:
        if job.status not in ENDED:
            return "It has not ended."
        return in_words(metadata_in(_last_metadata(job))) or "Nothing was said about it."

    @admin.display(description="timeline")
    def history(self, job: Job) -> str:
        changes = [
            Moment(change.at, change.status, in_words(metadata_in(change.metadata)))
            for change in job.history.all()
        ]
        if job.cancel_requested_at:
            changes.append(Moment(job.cancel_requested_at, "cancelled", "by its author or by you"))
        return timeline(changes)

    @override
    def result_of(self, job: Job) -> Result:
        return result_in(metadata_in(_last_metadata(job)))

    @admin.display(description=f"last {LAST_PIECES} pieces of live output")
    def output(self, job: Row) -> str:
        texts = [piece.text for piece in reversed(job.last_pieces)]
        return rendering.preformatted("".join(texts), tail=True)

    @admin.display(description="hotkey")
    def author(self, job: Job) -> str:
        return rendering.rows_where(Job, job.hotkey, q=job.hotkey)

    @admin.display(description="validator")
    def validator_page(self, job: Job) -> str:
        return rendering.page_of(job.validator)

    @admin.display(description="cheating")
    def cheating(self, job: Job) -> str:
        report = getattr(job, "cheat_report", None)
        return "not reported" if report is None else rendering.page_of(report)

    @admin.display(description="job, without credentials")
    def asked(self, job: Job) -> str:
        return rendering.frame(job.spec)

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


def _took(job: Job) -> timedelta | None:
    return job.last_update - job.created_at if job.status in ENDED else None


def _last_metadata(job: Job) -> str:
    told = {change.status: change.metadata for change in job.history.all()}
    return told.get(job.status, "")


@admin.register(StatusChange)
class StatusChangeAdmin(ReadOnlyAdmin):
    list_display = ("at", "job_id", "state")
    list_filter = ("status", "at")
    search_help_text = "a job's whole UUID"
    search_fields = ("job__tag",)
    uuid_field = "job_id"
    date_hierarchy = "at"
    ordering = ("-id",)
    large = ("metadata",)
    fields = ("at", "job_page", "state", "words", "details")
    readonly_fields = ("job_page", "state", "words", "details")

    @labelled("status", ordering="status")
    def state(self, change: StatusChange) -> str:
        return change.status

    @admin.display(description="job")
    def job_page(self, change: StatusChange) -> str:
        return rendering.page_at(Job, change.job_id, str(change.job_id))

    @admin.display(description="in words")
    def words(self, change: StatusChange) -> str:
        return in_words(metadata_in(change.metadata))

    @admin.display(description="what was said")
    def details(self, change: StatusChange) -> str:
        return rendering.frame(change.metadata)


@admin.register(CheatReport)
class CheatReportAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "job_id", "trusted_job_id")
    search_help_text = "the whole UUID of a reported job"
    search_fields = ("job__tag",)
    uuid_field = "job_id"
    date_hierarchy = "created_at"
    large = ("details",)
    fields = ("created_at", "job_page", "trusted_job_page", "told")
    readonly_fields = ("job_page", "trusted_job_page", "told")

    @admin.display(description="job")
    def job_page(self, report: CheatReport) -> str:
        return rendering.page_at(Job, report.job_id, str(report.job_id))

    @admin.display(description="the same on a trusted miner")
    def trusted_job_page(self, report: CheatReport) -> str:
        return rendering.page_at(Job, report.trusted_job_id, str(report.trusted_job_id))

    @admin.display(description="what its author says")
    def told(self, report: CheatReport) -> str:
        return rendering.frame(report.details)


@admin.register(Validator)
class ValidatorAdmin(HotkeyAdmin):
    form = OurHotkeyForm
    list_display = ("ss58", "active", "source", "sockets", "version", "runner_version")
    list_filter = ("active", "source", ("connections", admin.EmptyFieldListFilter))
    search_fields = ("ss58",)
    fields = (
        *("ss58", "active", "source", "connected", "version", "runner_version"),
        *("created_at", "jobs"),
    )
    readonly_fields = ("source", "connected", "version", "runner_version", "created_at", "jobs")

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Validator]:
        found: QuerySet[Validator] = super().get_queryset(request)
        return found.annotate(sockets=Count("connections"))

    @admin.display(description="open sockets", ordering="sockets")
    def sockets(self, validator: Row) -> int:
        return int(validator.sockets)

    @admin.display(description="open sockets")
    def connected(self, validator: Validator) -> str:
        rows = [
            (rendering.moment(socket.connected_at), rendering.moment(socket.last_heartbeat))
            for socket in validator.connections.all()
        ]
        return rendering.table(("connected at", "last heartbeat"), rows)

    @admin.display(description="jobs")
    def jobs(self, validator: Validator) -> str:
        if not validator.pk:
            return ""
        return rendering.rows_where(Job, "its jobs", validator__ss58__exact=validator.pk)

    @override
    def save_model(self, request: HttpRequest, obj: Validator, form: Any, change: Any) -> None:
        """What the operator says holds against the chain."""
        obj.source = Source.OPERATOR
        super().save_model(request, obj, form, change)


@admin.register(ValidatorConnection)
class ValidatorConnectionAdmin(ReadOnlyAdmin):
    list_display = ("validator", "connected_at", "last_heartbeat", "job_control")
    list_filter = ("job_control",)
    search_fields = ("validator__ss58",)
    list_select_related = ("validator",)
    ordering = ("-last_heartbeat",)


@admin.register(AllowedHotkey)
class AllowedHotkeyAdmin(HotkeyAdmin):
    form = OurHotkeyForm
    list_display = ("ss58", "note", "created_at")
    search_fields = ("ss58", "note")
    fields = ("ss58", "note", "created_at", "jobs")
    readonly_fields = ("created_at", "jobs")

    @admin.display(description="jobs")
    def jobs(self, allowed: AllowedHotkey) -> str:
        return rendering.rows_where(Job, "its jobs", q=allowed.ss58) if allowed.pk else ""

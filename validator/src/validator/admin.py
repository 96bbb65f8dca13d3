"""What operators see: jobs, where they ran, and the subnet. They edit who may use the validator."""

from datetime import datetime, timedelta

from django.contrib import admin
from django.db.models import Count, OuterRef, Prefetch, QuerySet, Subquery
from django.http import HttpRequest
from typing_extensions import override

from compute_horde_common.contrib.django import (
    rendering,
    serving_admin,  # noqa: F401 - registers its page
)
from compute_horde_common.contrib.django.admin import (
    HotkeyAdmin,
    HotkeyForm,
    ReadOnlyAdmin,
    Row,
    labelled,
)
from compute_horde_common.contrib.django.job_pages import JobPages, Moment, timeline
from compute_horde_common.contrib.django.results import Result, in_words, metadata_in, result_in
from compute_horde_common.protocol.validator_miner import TRUSTED_MINER_HOTKEY
from validator import wiring
from validator.models import (
    AllowedSigner,
    Attempt,
    Job,
    MinerManifest,
    MinerOnChain,
    Snapshot,
    StatusChange,
)
from validator.models.jobs import ENDED

LAST_ATTEMPTS = 20
OUTCOMES = {"completed": "success"}


class SignerForm(HotkeyForm):
    is_ss58 = staticmethod(wiring.is_ss58)


@admin.register(Job)
class JobAdmin(JobPages):
    list_display = (
        "whole_uuid",
        "state",
        "received_at",
        "took",
        "executor_class",
        "by",
        "tries",
        "on_trusted_miner",
    )
    list_filter = (
        "status",
        "executor_class",
        "on_trusted_miner",
        ("cancel_requested_at", admin.EmptyFieldListFilter),
        "cheated",
        "received_at",
    )
    search_fields = ("signatory", "namespace", "attempts__miner_hotkey")
    search_help_text = "a whole UUID, or a part of a namespace or of an author's or miner's hotkey"
    uuid_field = "uuid"
    date_hierarchy = "received_at"
    ordering = ("-received_at",)
    large = ("request", "cheat_report")
    fieldsets = (
        (None, {"fields": ("uuid", "state", "why", "history", "attempted")}),
        ("What it left", {"fields": ("result",)}),
        ("Who", {"fields": ("signatory", "on_trusted_miner", "namespace", "cheated", "report")}),
        ("When", {"fields": ("received_at", "ended_at", "took", "cancel_requested_at")}),
        ("What was asked for", {"fields": ("executor_class", "asked")}),
    )
    readonly_fields = (
        *("state", "why", "history", "attempted", "result", "report", "took", "asked"),
    )

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        tries = Attempt.objects.filter(job=OuterRef("pk")).order_by().values("job")
        counted = Subquery(tries.annotate(tries=Count("pk")).values("tries"))
        found: QuerySet[Job] = super().get_queryset(request)
        return found.annotate(tries=counted)

    @override
    def with_belongings(self, rows: QuerySet[Job]) -> QuerySet[Job]:
        attempts = Attempt.objects.defer("offer", "farewell").order_by("id")
        return rows.prefetch_related("history", Prefetch("attempts", queryset=attempts))

    @admin.display(description="job", ordering="uuid")
    def whole_uuid(self, job: Job) -> str:
        return rendering.unbroken(job.pk)

    @admin.display(description="signatory", ordering="signatory")
    def by(self, job: Job) -> str:
        return rendering.short(job.signatory)

    @labelled("status", ordering="status")
    def state(self, job: Job) -> str:
        return job.status

    @admin.display(description="miners tried", ordering="tries")
    def tries(self, job: Row) -> int:
        return job.tries or 0

    @admin.display(description="took")
    def took(self, job: Job) -> str:
        return rendering.duration(_between(job.received_at, job.ended_at))

    @admin.display(description="why it ended")
    def why(self, job: Job) -> str:
        if job.status not in ENDED:
            return "It has not ended."
        return in_words(metadata_in(_last_metadata(job))) or "Nothing was said about it."

    @admin.display(description="timeline")
    def history(self, job: Job) -> str:
        moments = [
            *(
                Moment(change.at, change.status, in_words(metadata_in(change.metadata)))
                for change in job.history.all()
            ),
            *(
                Moment(attempt.started_at, "offered", _miner(attempt.miner_hotkey))
                for attempt in job.attempts.all()
            ),
        ]
        if job.cancel_requested_at:
            moments.append(Moment(job.cancel_requested_at, "cancelled", "by its author"))
        return timeline(moments)

    @admin.display(description="attempts")
    def attempted(self, job: Job) -> str:
        rows = [(_page(attempt), *_columns(attempt)) for attempt in job.attempts.all()]
        return rendering.table(("offered at", "outcome", "took", "address", "miner"), rows)

    @override
    def result_of(self, job: Job) -> Result:
        return result_in(metadata_in(_last_metadata(job)))

    @admin.display(description="what its author says about the miner")
    def report(self, job: Job) -> str:
        return rendering.frame(job.cheat_report)

    @admin.display(description="request, without credentials")
    def asked(self, job: Job) -> str:
        return rendering.frame(job.request)


@admin.register(StatusChange)
class StatusChangeAdmin(ReadOnlyAdmin):
    list_display = ("at", "job_id", "state")
    list_filter = ("status", "at")
    search_fields = ("job__signatory",)
    search_help_text = "a job's whole UUID, or a part of its author's hotkey"
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


@admin.register(Attempt)
class AttemptAdmin(ReadOnlyAdmin):
    list_display = ("started_at", "job_id", "on", "executor_class", "ended", "took")
    list_filter = (
        "executor_class",
        "phase",
        ("ended_at", admin.EmptyFieldListFilter),
        "outcome",
        "started_at",
    )
    search_fields = ("miner_hotkey", "host", "outcome")
    search_help_text = "a job's whole UUID, or a part of a miner's hotkey, its host or an outcome"
    uuid_field = "job_id"
    date_hierarchy = "started_at"
    ordering = ("-id",)
    large = ("offer", "farewell")
    fields = (
        *("job_page", "miner", "host", "port", "executor_class", "started_at", "phase"),
        *("deadline", "ended_at", "took", "ended", "offered"),
    )
    readonly_fields = ("job_page", "miner", "took", "ended", "offered")

    @admin.display(description="miner", ordering="miner_hotkey")
    def on(self, attempt: Attempt) -> str:
        return rendering.short(attempt.miner_hotkey)

    @labelled("outcome", ordering="outcome", colours=OUTCOMES)
    def ended(self, attempt: Attempt) -> str:
        return _outcome(attempt)

    @admin.display(description="took")
    def took(self, attempt: Attempt) -> str:
        return rendering.duration(_between(attempt.started_at, attempt.ended_at))

    @admin.display(description="job")
    def job_page(self, attempt: Attempt) -> str:
        return rendering.page_at(Job, attempt.job_id, str(attempt.job_id))

    @admin.display(description="miner")
    def miner(self, attempt: Attempt) -> str:
        return _miner(attempt.miner_hotkey)

    @admin.display(description="offer while it is open, without credentials")
    def offered(self, attempt: Attempt) -> str:
        return rendering.frame(attempt.offer)


@admin.register(MinerOnChain)
class MinerAdmin(ReadOnlyAdmin):
    list_display = ("uid", "hotkey", "host", "port", "serving", "seen_at", "offers", "told_at")
    list_filter = ("serving",)
    search_fields = ("hotkey", "host")
    ordering = ("uid",)
    fields = ("uid", "hotkey", "host", "port", "serving", "seen_at", "offers", "told_at", "jobs")
    readonly_fields = ("offers", "told_at", "jobs")

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[MinerOnChain]:
        manifest = MinerManifest.objects.filter(hotkey=OuterRef("hotkey"))
        found: QuerySet[MinerOnChain] = super().get_queryset(request)
        return found.annotate(
            counts=Subquery(manifest.values("counts")),
            fetched_at=Subquery(manifest.values("fetched_at")),
        )

    @admin.display(description="offers")
    def offers(self, miner: Row) -> str:
        return _offers(miner)

    @admin.display(description="said so at", ordering="fetched_at")
    def told_at(self, miner: Row) -> str:
        return rendering.moment(miner.fetched_at)

    @admin.display(description=f"its last {LAST_ATTEMPTS} jobs")
    def jobs(self, miner: MinerOnChain) -> str:
        attempts = Attempt.objects.defer("offer", "farewell").filter(miner_hotkey=miner.hotkey)
        rows = [
            (
                _page(attempt),
                *_columns(attempt)[:2],
                rendering.page_at(Job, attempt.job_id, str(attempt.job_id)),
            )
            for attempt in attempts.order_by("-id")[:LAST_ATTEMPTS]
        ]
        return rendering.table(("offered at", "outcome", "took", "job"), rows)


@admin.register(MinerManifest)
class ManifestAdmin(ReadOnlyAdmin):
    list_display = ("hotkey", "offers", "fetched_at", "failed_at", "last_offer_at")
    list_filter = (
        ("fetched_at", admin.EmptyFieldListFilter),
        ("failed_at", admin.EmptyFieldListFilter),
    )
    search_fields = ("hotkey", "counts")
    search_help_text = "a part of a hotkey, or of an executor class"
    ordering = ("hotkey",)
    fields = ("miner", "offers", "fetched_at", "failed_at", "last_offer_at")
    readonly_fields = ("miner", "offers")

    @admin.display(description="offers")
    def offers(self, manifest: MinerManifest) -> str:
        return _offers(manifest)

    @admin.display(description="miner")
    def miner(self, manifest: MinerManifest) -> str:
        return _miner(manifest.hotkey)


@admin.register(Snapshot)
class SnapshotAdmin(ReadOnlyAdmin):
    list_display = ("block", "fetched_at")


@admin.register(AllowedSigner)
class AllowedSignerAdmin(HotkeyAdmin):
    form = SignerForm
    list_display = ("ss58", "note", "added_at")
    search_fields = ("ss58", "note")
    fields = ("ss58", "note", "added_at", "jobs")
    readonly_fields = ("added_at", "jobs")

    @admin.display(description="jobs")
    def jobs(self, signer: AllowedSigner) -> str:
        return rendering.rows_where(Job, "its jobs", q=signer.ss58) if signer.pk else ""


def _last_metadata(job: Job) -> str:
    told = {change.status: change.metadata for change in job.history.all()}
    return told.get(job.status, "")


def _between(start: datetime, end: datetime | None) -> timedelta | None:
    return end - start if end else None


def _miner(hotkey: str) -> str:
    if hotkey == TRUSTED_MINER_HOTKEY:
        return "the trusted miner"
    return rendering.rows_where(MinerOnChain, hotkey, q=hotkey)


def _page(attempt: Attempt) -> str:
    return rendering.page_at(Attempt, attempt.pk, rendering.moment(attempt.started_at))


def _columns(attempt: Attempt) -> tuple[str, str, str, str]:
    """Its outcome, how long that took, its miner's address, and its miner."""
    return (
        _outcome(attempt),
        rendering.duration(_between(attempt.started_at, attempt.ended_at)),
        f"{attempt.host}:{attempt.port}",
        _miner(attempt.miner_hotkey),
    )


def _outcome(attempt: Attempt) -> str:
    return attempt.outcome if attempt.ended_at else f"open, phase {attempt.phase}"


def _offers(row: Row) -> str:
    """What a miner offers; the row is a manifest, or has its columns."""
    if row.fetched_at is None:
        return "unknown"
    return ", ".join(f"{name}: {count}" for name, count in row.counts.items()) or "nothing"

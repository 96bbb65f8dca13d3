"""What operators see: jobs, where they ran, and the subnet. They edit who may use the validator."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from typing_extensions import override

from compute_horde_common.contrib.django.admin import ModelAdmin, ReadOnlyAdmin, TabularInline
from validator.models import (
    AllowedSigner,
    Attempt,
    Job,
    MinerManifest,
    MinerOnChain,
    Snapshot,
    StatusChange,
)

SHOWN = 4000


class StatusChanges(TabularInline):
    model = StatusChange
    fields = ("status", "at", "details")
    readonly_fields = fields
    verbose_name_plural = "status history"

    @admin.display(description="details")
    def details(self, change: StatusChange) -> str:
        return change.metadata[:SHOWN]


class Attempts(TabularInline):
    model = Attempt
    fields = ("miner_hotkey", "host", "port", "started_at", "phase", "ended_at", "outcome")
    readonly_fields = fields


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    list_display = ("uuid", "status", "executor_class", "signatory", "received_at", "ended_at")
    list_filter = (
        "status",
        "executor_class",
        "on_trusted_miner",
        ("cancel_requested_at", admin.EmptyFieldListFilter),
        "cheated",
    )
    search_fields = ("uuid", "signatory", "attempts__miner_hotkey")
    date_hierarchy = "received_at"
    exclude = ("request", "signature_identity")
    readonly_fields = ("requested",)
    inlines = (StatusChanges, Attempts)

    @admin.display(description="request")
    def requested(self, job: Job) -> str:
        return job.request[:SHOWN]


@admin.register(MinerOnChain)
class MinerAdmin(ReadOnlyAdmin):
    list_display = ("uid", "hotkey", "host", "port", "serving", "seen_at", "offers")
    list_filter = ("serving",)
    search_fields = ("hotkey", "host")

    @override
    def get_queryset(self, request: HttpRequest) -> "QuerySet[MinerOnChain]":
        self._manifests = {row.hotkey: row for row in MinerManifest.objects.all()}
        return super().get_queryset(request)

    @admin.display(description="offers")
    def offers(self, miner: MinerOnChain) -> str:
        manifest = self._manifests.get(miner.hotkey)
        if manifest is None or manifest.fetched_at is None:
            return "unknown"
        return ", ".join(f"{name}: {count}" for name, count in manifest.counts.items()) or "nothing"


@admin.register(MinerManifest)
class ManifestAdmin(ReadOnlyAdmin):
    list_display = ("hotkey", "counts", "fetched_at", "failed_at", "last_offer_at")
    search_fields = ("hotkey",)


@admin.register(Snapshot)
class SnapshotAdmin(ReadOnlyAdmin):
    list_display = ("block", "fetched_at")


@admin.register(AllowedSigner)
class AllowedSignerAdmin(ModelAdmin):
    list_display = ("ss58", "note", "added_at")
    search_fields = ("ss58", "note")

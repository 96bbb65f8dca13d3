"""The panel's page of the serving switch. A service that has one imports this in its admin."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from typing_extensions import override

from compute_horde_common.clock import SystemClock
from compute_horde_common.contrib.django import serving
from compute_horde_common.contrib.django.admin import ModelAdmin
from compute_horde_common.contrib.django.models.serving import Serving

EXPLANATION = (
    "While this is off, no new work is taken: a miner offers 0 executors of every class and"
    " declines jobs as busy, a validator leaves the facilitator. What runs goes on to its end and"
    " is delivered. The address is not announced on the chain, so what another server with the"
    " same hotkey announced stays. A change works at once, without a restart; only the"
    " announcement waits for its next turn (CHAIN_SYNC_SECONDS). The command drain does the same"
    " and waits for the jobs that run."
)


@admin.register(Serving)
class ServingAdmin(ModelAdmin):
    """One row, which is changed and neither made nor deleted."""

    list_display = ("__str__", "reason", "switched_at")
    fieldsets = ((None, {"fields": ("on", "reason", "switched_at"), "description": EXPLANATION}),)
    readonly_fields = ("switched_at",)
    actions = None

    @override
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @override
    def has_delete_permission(self, request: HttpRequest, obj: Serving | None = None) -> bool:
        return False

    @override
    def save_model(self, request: HttpRequest, obj: Serving, form: Any, change: bool) -> None:
        if "on" not in form.changed_data:
            obj.save(update_fields=["reason"])
            return
        switch = serving.switch_on if obj.on else serving.switch_off
        switch(obj.reason, SystemClock().now())

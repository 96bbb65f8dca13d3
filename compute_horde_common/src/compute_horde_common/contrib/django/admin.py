"""The admin's classes; the only file that knows the theme."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.http import HttpRequest
from typing_extensions import override
from unfold import admin as unfold  # type: ignore[import-untyped]  # it has no types
from unfold import forms

from compute_horde_common.contrib.django.models.outbox import Outbox
from compute_horde_common.contrib.django.models.receipts import StoredReceipt

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
    _TabularInline = admin.TabularInline[Any, Any]
    _UserAdmin = DjangoUserAdmin[User]
else:
    _ModelAdmin = unfold.ModelAdmin
    _TabularInline = unfold.TabularInline
    _UserAdmin = DjangoUserAdmin


class ModelAdmin(_ModelAdmin):
    """For rows that operators edit."""

    compressed_fields = True
    list_filter_submit = False
    warn_unsaved_form = True
    show_full_result_count = False


class ReadOnly:
    """Takes every permission but looking. Must come first among the base classes."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002
        return False


class ReadOnlyAdmin(ReadOnly, ModelAdmin):
    """For rows that only the service writes."""

    actions: tuple[str, ...] | None = None


class TabularInline(ReadOnly, _TabularInline):
    """Rows of another table that belong to the one that is shown."""

    extra = 0
    can_delete = False
    show_change_link = True
    tab = True


admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(_UserAdmin, ModelAdmin):
    form = forms.UserChangeForm
    add_form = forms.UserCreationForm
    change_password_form = forms.AdminPasswordChangeForm


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):
    pass


@admin.register(Outbox)
class OutboxAdmin(ReadOnlyAdmin):
    list_display = ("id", "recipient", "about", "attempts", "created_at", "not_before")
    list_filter = ("recipient",)
    search_fields = ("about",)
    ordering = ("id",)

    @override
    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """A message that can never be delivered must go somehow."""
        return bool(request.user.has_perm("common.delete_outbox"))


@admin.register(StoredReceipt)
class StoredReceiptAdmin(ReadOnlyAdmin):
    list_display = ("timestamp", "receipt_type", "job_uuid", "miner_hotkey", "validator_hotkey")
    list_filter = ("receipt_type", "executor_class", "is_organic")
    search_fields = ("job_uuid", "miner_hotkey", "validator_hotkey")
    ordering = ("-id",)

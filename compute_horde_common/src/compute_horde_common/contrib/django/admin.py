"""The admin's classes; the only file that knows the theme."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from typing_extensions import override
from unfold import admin as unfold  # type: ignore[import-untyped]  # it has no types
from unfold import decorators, forms

from compute_horde_common.contrib.django import rendering
from compute_horde_common.contrib.django.models.outbox import Outbox
from compute_horde_common.contrib.django.models.receipts import StoredReceipt
from compute_horde_common.jobs.lifecycle import JobStatus

if TYPE_CHECKING:
    _ModelForm = ModelForm[Model]
    _ModelAdmin = admin.ModelAdmin[Any]
    _UserAdmin = DjangoUserAdmin[User]
else:
    _ModelForm = ModelForm
    _ModelAdmin = unfold.ModelAdmin
    _UserAdmin = DjangoUserAdmin


Row = Any
"""A row of a model, with what a query has added to it."""
Shown = Callable[[Any, Row], object]
"""A method that says what is in a column, or in a field that cannot be edited."""

COLOURS: Final[Mapping[str, str]] = {
    JobStatus.COMPLETED: "success",
    JobStatus.REJECTED: "warning",
    JobStatus.FAILED: "danger",
    JobStatus.HORDE_FAILED: "danger",
    **{status: "info" for status in JobStatus if not status.is_end},
}


def labelled(
    description: str, *, ordering: str | None = None, colours: Mapping[str, str] = COLOURS
) -> Callable[[Shown], Shown]:
    """Decorates a method whose values are shown as coloured labels."""
    decorate: Callable[[Shown], Shown] = decorators.display(
        description=description, ordering=ordering, label=dict(colours)
    )
    return decorate


class ModelAdmin(_ModelAdmin):
    """For rows that operators edit.

    ``large`` fields are not read for lists. A whole UUID that is searched for is looked up in
    ``uuid_field``, which has an index where a search for a part of one has none.
    """

    compressed_fields = True
    list_filter_submit = False
    warn_unsaved_form = True
    show_full_result_count = False
    large: tuple[str, ...] = ()
    uuid_field = ""

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        found = super().get_queryset(request)
        page = request.resolver_match
        is_list = page is not None and (page.url_name or "").endswith("_changelist")
        return found.defer(*self.large) if is_list else self.with_belongings(found)

    def with_belongings(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Reads with a row what its own page shows beside it."""
        return rows

    @override
    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if self.uuid_field and (uuid := _uuid(search_term)):
            return queryset.filter(**{self.uuid_field: uuid}), False
        return super().get_search_results(request, queryset, search_term)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text.strip())
    except ValueError:
        return None


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


class HotkeyForm(_ModelForm):
    """Takes hotkeys' addresses only; ``is_ss58`` says what one is."""

    is_ss58: Callable[[str], bool]
    hotkey_field = "ss58"

    @override
    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        hotkey = str(cleaned.get(self.hotkey_field, ""))
        if hotkey and not self.is_ss58(hotkey):
            self.add_error(
                self.hotkey_field,
                ValidationError(
                    "This is no SS58 address of a hotkey. Expected are 48 letters and digits that"
                    " begin with 5, as `btcli wallet list` shows them."
                ),
            )
        return cleaned


class HotkeyAdmin(ModelAdmin):
    """For lists of hotkeys. A row's hotkey stays what it is: another hotkey is another row.
    What cannot be edited is not there yet while a row is being added."""

    form: type[HotkeyForm]

    @override
    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        names = (str(name) for name in super().get_fields(request, obj))
        unseen = () if obj else self.get_readonly_fields(request)
        return tuple(name for name in names if name not in unseen)

    @override
    def get_readonly_fields(
        self, request: HttpRequest, obj: Model | None = None
    ) -> tuple[str, ...]:
        fields = tuple(str(name) for name in super().get_readonly_fields(request, obj))
        return fields if obj is None else (self.form.hotkey_field, *fields)


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
    search_fields = ("about", "recipient")
    ordering = ("id",)
    fields = ("recipient", "about", "attempts", "created_at", "not_before", "message")
    readonly_fields = ("message",)
    large = ("body",)

    @admin.display(description="message, without credentials")
    def message(self, row: Outbox) -> str:
        return rendering.frame(row.body)

    @override
    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """A message that can never be delivered must go somehow."""
        return bool(request.user.has_perm("common.delete_outbox"))


@admin.register(StoredReceipt)
class StoredReceiptAdmin(ReadOnlyAdmin):
    list_display = (
        "timestamp",
        "receipt_type",
        "job_uuid",
        "executor_class",
        "miner_hotkey",
        "validator_hotkey",
    )
    list_filter = ("receipt_type", "executor_class", "is_organic")
    search_fields = ("miner_hotkey", "validator_hotkey")
    search_help_text = "a job's whole UUID, or a part of a hotkey"
    uuid_field = "job_uuid"
    ordering = ("-id",)
    large = ("payload", "line")

"""For tests: somebody with every permission, who follows every link of the admin's lists, and tries
every way in which its pages might let rows be written."""

import html
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from django.apps import apps
from django.contrib import admin
from django.contrib.admin import ModelAdmin
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import quote
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db.models import Field, Model, QuerySet
from django.test import Client, RequestFactory
from django.urls import reverse

_DONE_BY_LOOKING: Final = (LogEntry, Session, User)
"""A login writes these."""
_DELETE: Final = {"action": "delete_selected", "post": "yes", "index": "0"}


def pages_by_rights(user: User) -> tuple[set[str], set[str]]:
    """The names of the models whose pages let nothing be written, and those of the others."""
    request = RequestFactory().get("/")
    request.user = user
    shut: set[str] = set()
    open_: set[str] = set()
    for model, page in admin.site._registry.items():  # noqa: SLF001 - there is no other way
        rights = page.get_model_perms(request)
        writes = rights["add"] or rights["change"] or rights["delete"]
        (open_ if writes else shut).add(model.__name__)
    return shut, open_


def everything() -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables, but for those of logins."""
    return {
        model.__name__: list(QuerySet(model).order_by("pk").values())
        for model in apps.get_models()
        if model not in _DONE_BY_LOOKING
    }


def try_to_write(client: Client, row: Model, *, but: tuple[str, ...] = ()) -> set[int]:
    """Adds, changes and deletes, on all pages of a row's model; the statuses of the answers.

    Args:
        client: logged in.
        row: which there is.
        but: actions that are meant to write, and are not tried.
    """
    page = admin.site._registry[type(row)]  # noqa: SLF001 - likewise
    lists, adds = _address(page, "changelist"), _address(page, "add")
    change, delete = (_address(page, name, row) for name in ("change", "delete"))
    values = _values(row)
    chosen = {"_selected_action": [str(row.pk)], "select_across": "1"}
    actions = [name for name in page.actions or () if name not in but]
    with _without_tracebacks():
        answers = [
            *(client.post(address, values) for address in (adds, change, lists)),
            client.post(change, {**values, "_saveasnew": "1"}),
            client.post(change, {**values, "_popup": "1"}),
            client.post(delete, {"post": "yes"}),
            client.post(_address(page, "history", row), values),
            client.post(lists, {**_DELETE, **chosen}),
            client.post(
                lists, {**values, "_save": "1", "form-TOTAL_FORMS": "1", "form-0-id": row.pk}
            ),
            *(client.post(lists, {"action": name, **chosen}) for name in actions),
            *(client.generic(method, change) for method in ("PUT", "PATCH", "DELETE")),
        ]
    return {answer.status_code for answer in answers}


def follow_filters(client: Client) -> dict[str, int]:
    """Follows every link of every list: filters, dates and orders; the statuses of the answers."""
    found = {}
    for page in admin.site._registry.values():  # noqa: SLF001 - likewise
        address = _address(page, "changelist")
        links = re.findall(r'href="(\?[^"]+)"', client.get(address).content.decode())
        for link in {html.unescape(link) for link in links}:
            found[address + link] = client.get(address + link).status_code
    return found


@contextmanager
def _without_tracebacks() -> Iterator[None]:
    """Each refusal is logged with one, which takes longer than all the rest."""
    requests = logging.getLogger("django.request")
    before = requests.level
    requests.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        requests.setLevel(before)


def _address(page: "ModelAdmin[Any]", name: str, row: Model | None = None) -> str:
    view = f"admin:{page.opts.app_label}_{page.opts.model_name}_{name}"
    return reverse(view, args=[] if row is None else [quote(row.pk)])


def _values(row: Model) -> dict[str, str]:
    """Every field with another value than it has, in the forms that fields are posted in."""
    values: dict[str, str] = {}
    for field in row._meta.concrete_fields:  # noqa: SLF001 - Django's public API
        name = field.name
        value = _other_value(field, getattr(row, field.attname))
        values |= {name: value, f"{name}_0": "2030-01-02", f"{name}_1": "03:04:05"}
    return values


def _other_value(field: "Field[Any, Any]", value: object) -> str:
    match field.get_internal_type():
        case "BooleanField":
            return "" if value else "on"
        case "DateTimeField":
            return "2030-01-02 03:04:05"
        case "CharField" | "TextField" if not field.choices:
            return "written by an intruder"
        case "IntegerField" | "PositiveIntegerField" | "BigIntegerField":
            return "7"
        case _:
            return str(value)

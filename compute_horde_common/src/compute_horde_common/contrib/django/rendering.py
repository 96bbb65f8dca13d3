"""Pieces of the admin's pages. Texts come from strangers and may be huge: here they are escaped and
cut, and everything that could be a credential is left out."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

from django.contrib.admin.utils import quote
from django.db.models import Model
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from pydantic import JsonValue
from pydantic_core import from_json, to_json

SHOWN_CHARACTERS: Final = 20_000
HIDDEN: Final = "(hidden)"
_OF_VALUES_UNSEEN: Final = frozenset({"env", "form_fields", "signed_headers"})
_UNSEEN: Final = frozenset({"token", "executor_token"})
_LARGE: Final = frozenset({"artifacts", "contents"})
_MINUTE, _HOUR = 60, 3600
_SHORT: Final = 12


def preformatted(text: str, *, tail: bool = False) -> str:
    """``text`` as it is, never as a part of the page; its beginning if it is huge, or its
    ``tail``."""
    if not text:
        return ""
    left_out = max(0, len(text) - SHOWN_CHARACTERS)
    shown = text[left_out:] if tail else text[:SHOWN_CHARACTERS]
    return render_to_string(
        "admin/preformatted.html", {"text": shown, "left_out": left_out, "tail": tail}
    )


def frame(text: str, *, left_out: Collection[str] = ()) -> str:
    """What somebody sent, JSON, without what could be a credential: values of variables, tokens,
    query strings of URLs. Members that are null, and those ``left_out``, are not shown."""
    if not text:
        return ""
    try:
        told = concealed(from_json(text))
    except ValueError:
        return "(no JSON)"
    if isinstance(told, dict):
        told = {name: member for name, member in told.items() if name not in left_out}
    return preformatted(to_json(told, indent=2).decode()) if told != {} else ""


def concealed(value: JsonValue) -> JsonValue:
    """A copy of ``value`` in which no credential is left, and nothing large, and no null member."""
    match value:
        case dict():
            told = {name: member for name, member in value.items() if member is not None}
            return {name: _member(name, member) for name, member in told.items()}
        case list():
            return [concealed(member) for member in value]
        case str() if value.startswith(("http://", "https://")):
            return _plain_url(value)
        case _:
            return value


def duration(length: timedelta | None) -> str:
    """``length`` for people, empty for none."""
    if length is None:
        return ""
    seconds = length.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    minutes = int(seconds // _MINUTE)
    if seconds < _HOUR:
        return f"{minutes} min {int(seconds % _MINUTE)} s"
    return f"{minutes // _MINUTE} h {minutes % _MINUTE} min"


def short(hotkey: str) -> str:
    """A hotkey by which it can be told from others in a list; all of it where the mouse is."""
    if len(hotkey) <= _SHORT:
        return hotkey
    return format_html('<span title="{}">{}…{}</span>', hotkey, hotkey[:6], hotkey[-4:])


def unbroken(text: object) -> str:
    """``text`` in one line."""
    return format_html('<span style="white-space: nowrap">{}</span>', text)


def moment(at: datetime | None) -> str:
    """A time in UTC, empty for none."""
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else ""


def size(count: float) -> str:
    """A number of bytes for people."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:  # noqa: PLR2004 - of the next unit
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def page_of(row: Model | None) -> str:
    """A link to the page of a row, empty for none."""
    return "" if row is None else page_at(type(row), row.pk, str(row))


def page_at(model: type[Model], key: int | str | UUID, label: str) -> str:
    """A link to the page of the row of ``model`` that has this primary key."""
    address = reverse(_name(model, "change"), args=[quote(key)])
    return link(address, label)


def rows_where(model: type[Model], label: str, **query: str | int) -> str:
    """A link to the list of ``model``, filtered by its page's query."""
    return link(f"{reverse(_name(model, 'changelist'))}?{urlencode(query)}", label)


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; what is not safe in its cells is escaped."""
    found = list(rows)
    if not found:
        return "none"
    return render_to_string("admin/table.html", {"headings": headings, "rows": found})


def link(address: str, label: str) -> str:
    """A link."""
    return format_html(
        '<a class="text-primary-600 dark:text-primary-500" href="{}">{}</a>', address, label
    )


def _name(model: type[Model], page: str) -> str:
    return f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}"  # noqa: SLF001 - Django's public API


def _member(name: str, value: JsonValue) -> JsonValue:
    match value:
        case dict() if name in _OF_VALUES_UNSEEN:
            return dict.fromkeys(value, HIDDEN)
        case dict() if name in _LARGE:
            return {path: f"({len(str(content))} characters)" for path, content in value.items()}
        case _ if name in _OF_VALUES_UNSEEN | _UNSEEN:
            return HIDDEN
        case str() if name in _LARGE and not value.startswith(("http://", "https://")):
            return f"({len(value)} characters)"
        case _:
            return concealed(value)


def _plain_url(url: str) -> str:
    """Without a login, and without the query: there, addresses for uploads carry signatures."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return HIDDEN
    query = HIDDEN if parts.query else ""
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, query, parts.fragment))

"""Pieces of the admin's pages."""

from datetime import timedelta

import pytest
from pydantic import JsonValue

from compute_horde_common.contrib.django.rendering import (
    SHOWN_CHARACTERS,
    concealed,
    duration,
    frame,
    preformatted,
    size,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 ms"), (0.0414, "41 ms"), (3.25, "3.2 s"), (60, "1 min 0 s"), (7385, "2 h 3 min")],
)
def test_durations_are_for_people(seconds: float, text: str) -> None:
    assert duration(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 30, "5.0 GiB")]
)
def test_sizes_are_for_people(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ({"env": {"KEY": "x"}}, {"env": {"KEY": "(hidden)"}}),
        ({"env": "x", "token": None}, {"env": "(hidden)"}),
        ({"volumes": [{"token": "x"}]}, {"volumes": [{"token": "(hidden)"}]}),
        ({"form_fields": {"a": "x"}}, {"form_fields": {"a": "(hidden)"}}),
        ({"signed_headers": {"a": "x"}}, {"signed_headers": {"a": "(hidden)"}}),
        ({"contents": "UEsDBA=="}, {"contents": "(8 characters)"}),
        ({"contents": "https://h/a?x"}, {"contents": "https://h/a?(hidden)"}),
        ({"artifacts": {"/a": "aGk="}}, {"artifacts": {"/a": "(4 characters)"}}),
        (["http://me:x@h:80/a?b=x#sha256=1"], ["http://h:80/a?(hidden)#sha256=1"]),
        (["https://[x"], ["(hidden)"]),
        ({"args": ["--url", "ftp://h", 3, True]}, {"args": ["--url", "ftp://h", 3, True]}),
    ],
)
def test_credentials_are_left_out(told: JsonValue, shown: JsonValue) -> None:
    assert concealed(told) == shown


@pytest.mark.parametrize("text", ["{", "[1, }", '"\\ud800"', "[" * 5000])
def test_what_is_no_json_is_not_shown(text: str) -> None:
    assert frame(text) == "(no JSON)"


def test_members_that_say_nothing_can_be_left_out() -> None:
    assert frame('{"kind": "x", "more": null}', left_out=("kind",)) == ""


@pytest.mark.parametrize(
    ("tail", "left", "note"), [(True, "b", "before this"), (False, "a", "more")]
)
def test_long_texts_are_cut_at_one_end(tail: bool, left: str, note: str) -> None:
    text = "a" * SHOWN_CHARACTERS + "b" * SHOWN_CHARACTERS

    shown = preformatted(text, tail=tail)

    assert left * SHOWN_CHARACTERS in shown
    assert f"{SHOWN_CHARACTERS} characters {note}" in shown or f"{SHOWN_CHARACTERS} {note}" in shown
    assert len(shown) < SHOWN_CHARACTERS + 500

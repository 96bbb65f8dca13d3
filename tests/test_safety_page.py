"""The page about safety names tests; they are there."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
_NAMED = re.compile(r"`(?P<file>…|[\w/]+\.py)(?:::(?P<test>\w+))?`")


def _named() -> Iterator[tuple[Path, str]]:
    file = ROOT
    for match in _NAMED.finditer((ROOT / "docs" / "safety.md").read_text()):
        if match["file"] != "…":
            whole = ROOT / match["file"]
            file = whole if whole.exists() else ROOT / "executor" / "tests" / match["file"]
        yield file, match["test"] or ""


def test_every_test_that_the_page_about_safety_names_exists() -> None:
    named = list(_named())

    missing = [
        f"{file.relative_to(ROOT)}::{test}"
        for file, test in named
        if not file.is_file() or (test and f"def {test}(" not in file.read_text())
    ]

    assert len(named) > 30
    assert missing == []

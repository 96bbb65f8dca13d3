"""Findings as people and as programs read them."""

import json
import textwrap

from compute_horde_common.contrib.django.doctor.examination import Findings
from compute_horde_common.contrib.django.doctor.findings import State

WIDTH = 100
_SHOWN = {State.OK: "ok  ", State.WARN: "warn", State.FAIL: "FAIL"}


def as_text(findings: Findings) -> str:
    """A line for each finding; below it, indented, what to do."""
    longest = max(map(len, findings), default=0)
    indent = " " * (len(_SHOWN[State.OK]) + longest + 4)
    lines: list[str] = []
    for name, finding in findings.items():
        lines.append(f"{_SHOWN[finding.state]}  {name:{longest}}  {_one_line(finding.found)}")
        lines += textwrap.wrap(
            finding.fix,
            WIDTH,
            initial_indent=indent,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join(lines)


def as_json(findings: Findings) -> str:
    """A list of objects: name, state (ok, warn or fail), found, fix."""
    rows = [
        {"name": name, "state": finding.state, "found": finding.found, "fix": finding.fix}
        for name, finding in findings.items()
    ]
    return json.dumps(rows, indent=2)


def verdict(findings: Findings) -> str | None:
    """Which checks failed, in a sentence; None if none did."""
    failed = [name for name, finding in findings.items() if finding.state is State.FAIL]
    return f"{len(failed)} of {len(findings)} failed: {', '.join(failed)}" if failed else None


def _one_line(text: str) -> str:
    return " ".join(text.split())

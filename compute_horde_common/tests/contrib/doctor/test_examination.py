import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from typing_extensions import override

from compute_horde_common.contrib.django.doctor.command import DoctorCommand
from compute_horde_common.contrib.django.doctor.examination import examine
from compute_horde_common.contrib.django.doctor.findings import Check, Finding, fail, ok, warn
from compute_horde_common.contrib.django.doctor.report import as_text

LONG = "Turn it off, wait for a moment, turn it on again, and look whether it works now. " * 2


def _check(name: str, finding: Finding, *needs: str) -> Check:
    async def look() -> Finding:
        return finding

    return Check(name, look, needs)


async def _hangs() -> Finding:
    await asyncio.Event().wait()
    return ok("never")


async def _breaks() -> Finding:
    raise ZeroDivisionError("by nothing")


class Doctor(DoctorCommand):
    """Of a service that has these."""

    def __init__(self, *found: Check) -> None:
        super().__init__()
        self._found = found

    @override
    def checks(self) -> AbstractAsyncContextManager[Sequence[Check]]:
        return self._all()

    @asynccontextmanager
    async def _all(self) -> AsyncIterator[Sequence[Check]]:
        yield self._found


def test_each_finding_is_a_line_with_what_to_do_below_it() -> None:
    text = as_text({"a": ok("well"), "longer": warn("so\nso", "Do."), "b": fail("bad", LONG)})

    assert text == (
        "ok    a       well\n"
        "warn  longer  so so\n"
        "              Do.\n"
        "FAIL  b       bad\n"
        f"              {LONG[:85]}\n"
        f"              {LONG[86:-1]}"
    )


async def test_a_check_that_hangs_fails_and_keeps_nobody_waiting() -> None:
    findings = await examine([Check("slow", _hangs, seconds=0.01), _check("other", ok("fine"))])

    assert findings == {
        "slow": fail(
            "no answer within 0.01 s",
            "Something hangs: see the logs of this service, and try again.",
        ),
        "other": ok("fine"),
    }


async def test_a_check_that_breaks_fails_and_hides_no_other() -> None:
    findings = await examine([Check("broken", _breaks), _check("other", ok("fine"))])

    assert findings == {
        "broken": fail(
            "could not be looked at: ZeroDivisionError: by nothing",
            "This is a fault of the check itself; report it with this line.",
        ),
        "other": ok("fine"),
    }


async def test_what_a_failed_check_was_needed_for_is_not_looked_at() -> None:
    findings = await examine(
        [
            _check("database", fail("away", "Start it.")),
            _check("rows", ok("not true"), "database"),
            _check("more rows", ok("not true"), "rows"),
            _check("else", ok("fine")),
        ]
    )

    skipped = warn("not looked at, as database failed", "See database.")
    assert (findings["rows"], findings["more rows"]) == (skipped, skipped)
    assert findings["else"] == ok("fine")


def test_without_a_failure_the_command_ends_well() -> None:
    out = StringIO()

    call_command(Doctor(_check("a", ok("well")), _check("b", warn("so so", "Do."))), stdout=out)

    assert out.getvalue() == "ok    a  well\nwarn  b  so so\n         Do.\n"


def test_with_a_failure_the_command_fails_and_names_it() -> None:
    out = StringIO()

    with pytest.raises(CommandError, match=r"^1 of 2 failed: b$"):
        call_command(Doctor(_check("a", ok("well")), _check("b", fail("bad", "Do."))), stdout=out)

    assert out.getvalue() == "ok    a  well\nFAIL  b  bad\n         Do.\n"


def test_programs_get_the_same_as_json() -> None:
    out = StringIO()

    with pytest.raises(CommandError):
        call_command(
            Doctor(_check("a", ok("well")), _check("b", fail("bad", "Do."))),
            json=True,
            stdout=out,
        )

    assert json.loads(out.getvalue()) == [
        {"name": "a", "state": "ok", "found": "well", "fix": ""},
        {"name": "b", "state": "fail", "found": "bad", "fix": "Do."},
    ]

"""All checks of a service at once: what came of each."""

import asyncio
from collections.abc import Mapping, Sequence

from compute_horde_common.contrib.django.doctor.findings import (
    Check,
    Finding,
    State,
    fail,
    warn,
)

Findings = Mapping[str, Finding]
"""What was found, by the names of the checks, in their order."""


async def examine(checks: Sequence[Check]) -> Findings:
    """Runs all checks at the same time, each within its limit. Never raises."""
    looks: dict[str, asyncio.Task[Finding]] = {}
    needs: dict[str, list[str]] = {}
    async with asyncio.TaskGroup() as group:
        for check in checks:
            needs[check.name] = [each for name in check.needs for each in (*needs[name], name)]
            needed = {name: looks[name] for name in needs[check.name]}
            looks[check.name] = group.create_task(_examined(check, needed))
    return {name: look.result() for name, look in looks.items()}


async def _examined(check: Check, needed: Mapping[str, asyncio.Task[Finding]]) -> Finding:
    for name, look in needed.items():
        if (await look).state is State.FAIL:
            return warn(f"not looked at, as {name} failed", f"See {name}.")
    try:
        async with asyncio.timeout(check.seconds):
            return await check.look()
    except TimeoutError:
        return fail(
            f"no answer within {check.seconds:g} s",
            "Something hangs: see the logs of this service, and try again.",
        )
    except Exception as error:  # noqa: BLE001 - one broken check must not hide the others
        return fail(
            f"could not be looked at: {type(error).__name__}: {error}",
            "This is a fault of the check itself; report it with this line.",
        )

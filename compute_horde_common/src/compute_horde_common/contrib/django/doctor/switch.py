"""Whether the service takes new work at all."""

from compute_horde_common.contrib.django import serving
from compute_horde_common.contrib.django.db import in_database
from compute_horde_common.contrib.django.doctor.findings import Finding, ok, warn


async def is_on() -> bool:
    """Whether it does."""
    return await in_database(serving.is_serving)()


async def takes_work() -> Finding:
    """Whether it does; it is an operator who decides that."""
    state = await in_database(serving.state)()
    if state.on:
        return ok("takes new work")
    reason = f": {state.reason}" if state.reason else ""
    return warn(
        f"takes no new work{reason}",
        "`python -m django drain --end` lets it; in Docker Compose, `manage drain --end` in one of"
        " its containers.",
    )

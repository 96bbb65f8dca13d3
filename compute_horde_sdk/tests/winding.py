"""Runs what waits for a hand-wound clock."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from compute_horde_common.clock import HandWoundClock

T = TypeVar("T")
STEP_SECONDS = 0.05
MOST_STEPS = 4000


async def wound(clock: HandWoundClock, work: Coroutine[Any, Any, T]) -> T:
    """The outcome of ``work``, with the clock wound on until there is one."""
    task = asyncio.ensure_future(work)
    for _ in range(MOST_STEPS):
        if task.done():
            break
        await clock.advance(STEP_SECONDS)
    assert task.done(), "still not done, however late it gets"
    return await task

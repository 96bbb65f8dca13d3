"""MB/s of one way to move a file, and of another way to do the same."""

import asyncio
import subprocess
from collections.abc import Awaitable, Callable

from bench.measure import Stopwatch, percentile

MEBIBYTES = 256
"""The size of the file."""

_ROUNDS = 5

Work = Callable[[], Awaitable[None]]


async def compared(what: str, ours: Work, name: str, theirs: Work) -> dict[str, float]:
    """The medians of rounds taken in turns, after one of each that fills the caches."""
    mine: list[float] = []
    other: list[float] = []
    for _ in range(1 + _ROUNDS):
        mine.append(await _seconds(ours))
        other.append(await _seconds(theirs))
    fast, plain = _rate(mine[1:]), _rate(other[1:])
    return {
        f"{what} (MB/s)": fast,
        f"{what} by {name} (MB/s)": plain,
        f"{what} / {name}": fast / plain,
    }


def program(*command: str) -> Work:
    """Runs another program to its end."""

    async def work() -> None:
        await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)

    return work


async def _seconds(work: Work) -> float:
    watch = Stopwatch()
    await work()
    return watch.seconds


def _rate(taken: list[float]) -> float:
    return (MEBIBYTES << 20) / 1e6 / percentile(taken, 50)

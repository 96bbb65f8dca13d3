"""Time comes in through a `Clock`; nothing else in the project reads the system's."""

import asyncio
import sys
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Protocol

from typing_extensions import override

from compute_horde_common.python310 import UTC

if sys.version_info >= (3, 11):
    from asyncio import Timeout, timeout
else:
    from async_timeout import Timeout, timeout


class Clock(Protocol):
    """What the time is, and how to wait for a later one."""

    def now(self) -> datetime:
        """The present moment, timezone-aware, UTC."""
        ...

    async def sleep_until(self, when: datetime) -> None:
        """Returns once ``now()`` is at or after ``when``."""
        ...

    def timeout(self, seconds: float) -> AbstractAsyncContextManager[object]:
        """A block that raises ``TimeoutError`` when it is still running after ``seconds``."""
        ...


class SystemClock(Clock):
    """The machine's own clock."""

    @override
    def now(self) -> datetime:
        return datetime.now(UTC)

    @override
    async def sleep_until(self, when: datetime) -> None:
        await asyncio.sleep(max(0.0, (when - self.now()).total_seconds()))

    @override
    def timeout(self, seconds: float) -> AbstractAsyncContextManager[object]:
        return timeout(max(0.0, seconds))


class HandWoundClock(Clock):
    """A clock for tests: it stands still until ``advance`` is awaited."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start
        self._sleepers: list[tuple[datetime, asyncio.Event]] = []
        self._timeouts: list[tuple[datetime, Timeout]] = []

    @override
    def now(self) -> datetime:
        return self._now

    @override
    async def sleep_until(self, when: datetime) -> None:
        if when <= self._now:
            return
        due = asyncio.Event()
        self._sleepers.append((when, due))
        await due.wait()

    @override
    def timeout(self, seconds: float) -> AbstractAsyncContextManager[object]:
        limit = timeout(0 if seconds <= 0 else None)
        self._timeouts.append((self._now + timedelta(seconds=seconds), limit))
        return limit

    async def advance(self, seconds: float) -> None:
        """Moves time forward and lets everything that became due run."""
        await self._settle()
        self._now += timedelta(seconds=seconds)
        for when, due in self._sleepers:
            if when <= self._now:
                due.set()
        self._sleepers = [(when, due) for when, due in self._sleepers if when > self._now]
        loop = asyncio.get_running_loop()
        expired = [limit for when, limit in self._timeouts if when <= self._now]
        self._timeouts = [(when, limit) for when, limit in self._timeouts if when > self._now]
        for limit in expired:
            if limit.when() is None and _is_open(limit):
                limit.reschedule(loop.time())
        await self._settle()

    @staticmethod
    async def _settle() -> None:
        for _ in range(20):
            await asyncio.sleep(0)


def _is_open(limit: Timeout) -> bool:
    return "active" in repr(limit)

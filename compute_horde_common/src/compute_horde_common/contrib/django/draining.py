"""The command ``drain``: takes no new work, and waits for the end of what runs."""

import asyncio
from abc import abstractmethod
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from django.core.management.base import BaseCommand, CommandError
from typing_extensions import override

from compute_horde_common.clock import Clock, SystemClock
from compute_horde_common.contrib.django import serving
from compute_horde_common.contrib.django.db import in_database

LOOK_SECONDS: Final = 1.0
INTERRUPTED: Final = 130
"""What shells say of a program that Ctrl-C ended."""
LONGEST_REASON: Final = 200
NOTHING: Final = "No job runs."

OpenJobs = Callable[[datetime], Sequence[str]]
"""The jobs that run at a moment, and what must still be said about jobs that ran, for people."""


class DrainCommand(BaseCommand):
    """Switches serving off, and on again with ``--end``; both may be said twice."""

    help = (
        "Takes no new jobs, and waits until none runs. Exits with 0 when none does, with 1 if some"
        " still do after --wait SECONDS. Serving stays off, over restarts, until `drain --end`."
    )

    @abstractmethod
    def open_jobs(self, at: datetime, /) -> Sequence[str]:
        """See `OpenJobs`."""

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--wait", type=float, metavar="SECONDS", help="how long; as long as it takes by default"
        )
        parser.add_argument("--end", action="store_true", help="take new jobs again")
        parser.add_argument(
            "--reason",
            default="",
            help="why, for people; with --end: only if it was switched off for this reason",
        )

    @override
    def handle(self, *args: object, **options: object) -> None:
        reason = str(options["reason"])[:LONGEST_REASON]
        if options["end"]:
            self._end(reason)
            return
        if serving.switch_off(reason or "drain", SystemClock().now()):
            self._tell("Serving is off: no new jobs are taken.")
        else:
            self._tell(
                f"Serving was off already: {serving.state().reason or 'no reason is given'}."
            )
        wait = options["wait"]
        try:
            left = asyncio.run(
                idle(
                    self.open_jobs,
                    SystemClock(),
                    within=float(wait) if isinstance(wait, float | int) else None,
                    tell=self._tell,
                )
            )
        except KeyboardInterrupt:
            raise CommandError(
                "Interrupted. Serving stays off; `drain` waits again, `drain --end` ends it.",
                returncode=INTERRUPTED,
            ) from None
        if left:
            raise CommandError(
                f"After {wait:g} s there is still work. Serving stays off. {_said(left)}"
            )

    def _end(self, reason: str) -> None:
        now = serving.state()
        if not now.on and reason and now.reason != reason:
            self._tell(f"Serving stays off: it was switched off for another reason: {now.reason}.")
            return
        changed = serving.switch_on(reason, SystemClock().now())
        self._tell("Serving is on: new jobs are taken." if changed else "Serving was on already.")

    def _tell(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


async def idle(
    open_jobs: OpenJobs, clock: Clock, *, within: float | None, tell: Callable[[str], None]
) -> Sequence[str]:
    """Waits until nothing runs; returns what still does after ``within`` seconds.

    Args:
        open_jobs: what runs.
        clock: the time.
        within: how long to wait; None: as long as it takes.
        tell: gets a line whenever what runs has changed.
    """
    end = None if within is None else clock.now() + timedelta(seconds=within)
    told: Sequence[str] | None = None
    while True:
        found = list(await in_database(open_jobs)(clock.now()))
        if found != told:
            tell(_said(found))
        if not found or (end is not None and clock.now() >= end):
            return found
        told = found
        await clock.sleep_until(clock.now() + timedelta(seconds=LOOK_SECONDS))


def _said(found: Sequence[str]) -> str:
    if not found:
        return NOTHING
    what = "1 job runs" if len(found) == 1 else f"{len(found)} jobs run"
    return f"{what}: {'; '.join(found)}"

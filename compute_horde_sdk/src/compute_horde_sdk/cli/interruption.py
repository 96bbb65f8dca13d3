"""Ctrl-C while a job runs: once asks for the job's end, twice leaves it alone."""

import asyncio
import signal
from contextlib import suppress
from types import TracebackType

from typing_extensions import Self

from compute_horde_sdk.cli.screen import Screen
from compute_horde_sdk.cli.trouble import CommandFailed, Status
from compute_horde_sdk.v1 import ComputeHordeCancelError, ComputeHordeError, ComputeHordeJob

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Ends the jobs that are `run`, on a signal or when their time is over.

    ``reason`` is the exit status that tells why, if anybody asked for the end.
    """

    def __init__(self, screen: Screen, seconds: float | None) -> None:
        self.reason: Status | None = None
        self.job: ComputeHordeJob | None = None
        self._screen = screen
        self._seconds = seconds
        self._asking: asyncio.Future[None] | None = None
        self._running: asyncio.Task[object] | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._running = asyncio.current_task()
        # Windows has none of this; there, Ctrl-C leaves at once.
        with suppress(NotImplementedError):
            for number in _SIGNALS:
                loop.add_signal_handler(number, self._pressed)
        if self._seconds is not None:
            loop.call_later(self._seconds, self._late)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(NotImplementedError):
            for number in _SIGNALS:
                asyncio.get_running_loop().remove_signal_handler(number)
        if self._asking is not None:
            self._asking.cancel()
            with suppress(asyncio.CancelledError):
                await self._asking
        if isinstance(error, asyncio.CancelledError) and self.reason is not None:
            raise self._left() from None

    def runs(self, job: ComputeHordeJob) -> None:
        """There is a job, which ends at once if somebody asked for that before."""
        self.job = job
        if self.reason is not None:
            self._ask()

    def _pressed(self) -> None:
        if self.reason is not None:
            self._leave()
            return
        self.reason = Status.INTERRUPTED
        self._screen.note("cancelling the job; press Ctrl-C again to leave it alone")
        self._ask()

    def _late(self) -> None:
        if self.reason is None:
            self.reason = Status.TIMED_OUT
            self._screen.note(f"cancelling the job, which took more than {self._seconds:g} seconds")
            self._ask()

    def _ask(self) -> None:
        if self.job is not None:
            self._asking = asyncio.ensure_future(self._cancel(self.job))

    async def _cancel(self, job: ComputeHordeJob) -> None:
        try:
            await job.cancel()
        except ComputeHordeCancelError as error:
            self._screen.note(str(error))
        except ComputeHordeError as error:
            self._screen.note(f"the job could not be cancelled: {error}")
            self._leave()

    def _leave(self) -> None:
        if self._running is not None:
            self._running.cancel()

    def _left(self) -> CommandFailed:
        if self.job is None:
            return CommandFailed(
                "left before the facilitator said whether it has the job",
                "`horde jobs` shows it if it has.",
                status=self.reason,
            )
        return CommandFailed(
            f"left; job {self.job.uuid} may go on",
            f"See: horde show {self.job.uuid}, or end it: horde cancel {self.job.uuid}",
            status=self.reason,
        )

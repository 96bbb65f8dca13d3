"""Ctrl-C while a job runs: once asks for the job's end, twice leaves; and readers that leave."""

import asyncio
import errno
import signal
from contextlib import suppress
from types import TracebackType

from typing_extensions import Self

from compute_horde_sdk.cli import streams
from compute_horde_sdk.cli.screen import Screen
from compute_horde_sdk.cli.trouble import CommandFailed, Status
from compute_horde_sdk.v1 import ComputeHordeCancelError, ComputeHordeError, ComputeHordeJob

_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
_UNREAD = {errno.EPIPE, errno.EIO}
"""What writing to a pipe that nobody reads ends with, and to a terminal that is gone."""


class Interruption:
    """Ends the jobs that are `run`, on a signal or when their time is over.

    ``reason`` is the exit status that tells why, if anybody asked for the end.
    """

    def __init__(self, screen: Screen, seconds: float | None, *, is_local: bool) -> None:
        self.reason: Status | None = None
        self.job: ComputeHordeJob | None = None
        self._screen = screen
        self._seconds = seconds
        self._is_local = is_local
        self._asking: asyncio.Future[None] | None = None
        self._running: asyncio.Task[object] | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._running = asyncio.current_task()
        # Windows has none of this; there, Ctrl-C leaves at once.
        with suppress(NotImplementedError):
            for number in filter(_counts, _SIGNALS):
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
            for number in filter(_counts, _SIGNALS):
                asyncio.get_running_loop().remove_signal_handler(number)
        if self._asking is not None:
            self._asking.cancel()
            with suppress(asyncio.CancelledError):
                await self._asking
        if isinstance(error, asyncio.CancelledError) and self.reason is not None:
            raise self._left() from None
        if isinstance(error, OSError) and error.errno in _UNREAD:
            raise await self._unread() from None

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
        self._ask()
        again = "end it at once" if self._is_local else "leave it alone"
        self._screen.note(f"cancelling the job; press Ctrl-C again to {again}")

    def _late(self) -> None:
        if self.reason is None:
            self.reason = Status.TIMED_OUT
            self._ask()
            self._screen.note(f"cancelling the job, which took more than {self._seconds:g} seconds")

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

    async def _unread(self) -> CommandFailed:
        """Output went to a pipe such as that to `head`, which has ended."""
        streams.drop_broken()
        told = "nobody reads the output any more"
        if self.job is not None:
            try:
                await self.job.cancel()
                told += f"; job {self.job.uuid} is cancelled"
            except ComputeHordeError as error:
                told += f"; job {self.job.uuid} could not be cancelled: {error}"
        return CommandFailed(told, status=Status.INTERRUPTED)

    def _left(self) -> CommandFailed:
        if self.job is None:
            return CommandFailed(
                "left before the facilitator said whether it has the job",
                "`horde jobs` shows it if it has.",
                status=self.reason,
            )
        if self._is_local:
            return CommandFailed("left; the job was ended", status=self.reason)
        return CommandFailed(
            f"left; job {self.job.uuid} may go on",
            f"See: horde show {self.job.uuid}, or end it: horde cancel {self.job.uuid}",
            status=self.reason,
        )


def _counts(number: signal.Signals) -> bool:
    # `nohup` asks for hanging up not to end a program.
    return number == signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN

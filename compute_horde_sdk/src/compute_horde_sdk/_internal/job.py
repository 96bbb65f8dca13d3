"""A job as its author sees it. Nothing is pushed: a job is asked for until it is there."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from compute_horde_common.clock import Clock
from compute_horde_sdk._internal.errors import ComputeHordeError, ComputeHordeJobTimeoutError
from compute_horde_sdk._internal.results import (
    ComputeHordeJobFailure,
    ComputeHordeJobResult,
    ComputeHordeJobStatus,
    ComputeHordeJobStatusEntry,
    ComputeHordeLogPage,
    ComputeHordeLogPiece,
    Failure,
)
from compute_horde_sdk._internal.time_limit import TimeLimit

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import rsa

CANCELLED = "cancelled"
FIRST_POLL_SECONDS = 0.1
LONGEST_POLL_SECONDS = 0.5
POLL_GROWTH = 1.5
LAST_POLL_SECONDS = 5.0
"""How much longer than its timeout a wait may take, for the answer to its last question."""


class Client(Protocol):
    """What a job needs of the client that it came from."""

    @property
    def clock(self) -> Clock:
        """What the time is."""
        ...

    async def get_job(self, job_uuid: str) -> "ComputeHordeJob":
        """The job as it is now."""
        ...

    async def cancel_job(self, job_uuid: str) -> "ComputeHordeJob":
        """The same, once its end is asked for."""
        ...

    async def get_log_page(self, job_uuid: str, offset: int) -> ComputeHordeLogPage:
        """Some of what it wrote."""
        ...


class ComputeHordeJob:
    """A job that the network has.

    Attributes:
        uuid: its name.
        result: what it left behind; ``None`` until it has ended.
        status_history: all statuses until now, oldest first.
        streaming_public_cert: the certificate that the client of a streaming job must show, and
        streaming_private_key: its key; both only on the object that ``create_job`` returned.
        streaming_server_cert: the certificate (PEM) that the job's server shows, at
        streaming_server_address: this host and
        streaming_server_port: this port, once the job is ready for streaming.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the published signature
        self,
        client: Client,
        uuid: str,
        result: ComputeHordeJobResult | None = None,
        streaming_public_cert: "x509.Certificate | None" = None,
        streaming_private_key: "rsa.RSAPrivateKey | None" = None,
        streaming_server_cert: str | None = None,
        streaming_server_address: str | None = None,
        streaming_server_port: int | None = None,
        status_history: list[ComputeHordeJobStatusEntry] | None = None,
    ) -> None:
        self._client = client
        self.uuid = uuid
        self.result = result
        self.streaming_public_cert = streaming_public_cert
        self.streaming_private_key = streaming_private_key
        self.streaming_server_cert = streaming_server_cert
        self.streaming_server_address = streaming_server_address
        self.streaming_server_port = streaming_server_port
        self.status_history = status_history if status_history is not None else []

    def __repr__(self) -> str:
        return f"<{type(self).__qualname__}: {self.uuid!r}>"

    @property
    def status(self) -> ComputeHordeJobStatus:
        """Where the job was when it was last asked for."""
        if not self.status_history:
            raise ComputeHordeError(f"job {self.uuid} has no status yet; refresh it first")
        return self.status_history[-1].status

    @property
    def error(self) -> Failure | None:
        """Why the job ended other than well, if it did."""
        metadata = self.status_history[-1].metadata if self.status_history else None
        return metadata.failure if metadata else None

    @property
    def cancelled(self) -> bool:
        """Whether the job has ended because it was cancelled."""
        return isinstance(self.error, ComputeHordeJobFailure) and self.error.reason == CANCELLED

    async def cancel(self) -> None:
        """Asks for the end of the job. It comes a moment later: `wait` for it.

        The job is then ``failed``, and `cancelled`; one that has ended just before may be
        anything else.

        Raises:
            ComputeHordeCancelError: it cannot be cancelled, for example because it has ended.
            ComputeHordeNotFoundError: it belongs to another hotkey.
            ComputeHordeError: the facilitator cannot be asked.
        """
        self._become(await self._client.cancel_job(self.uuid))

    async def wait(
        self,
        timeout: float | None = None,
        status_callback: "JobStatusCallback | None" = None,
    ) -> None:
        """Returns when the job has ended, well or not.

        Args:
            timeout: seconds; ``None`` waits without limit.
            status_callback: called with the job and each entry of its history, those that are
                known already included. May be a coroutine function. What it raises ends the wait.

        Raises:
            ComputeHordeJobTimeoutError: it has not ended in time, and goes on running.
            ComputeHordeError: the facilitator cannot be asked.
        """
        told = 0

        async def has_ended() -> bool:
            nonlocal told
            for entry in self.status_history[told:]:
                told += 1
                await call(status_callback, self, entry)
            return not self.status.is_in_progress()

        await self._poll_until(has_ended, timeout, "complete")

    async def logs(self, offset: int = 0) -> list[ComputeHordeLogPiece]:
        """What the job has written until now.

        Args:
            offset: number of the first piece.

        Raises:
            ComputeHordeError: the facilitator cannot be asked.
        """
        found: list[ComputeHordeLogPiece] = []
        while (page := await self._client.get_log_page(self.uuid, offset)).pieces:
            found += page.pieces
            offset = page.next_offset
        return found

    async def iter_logs(self, offset: int = 0) -> AsyncIterator[ComputeHordeLogPiece]:
        """What the job writes, as it comes, until there is no more.

        Args:
            offset: number of the first piece.

        Raises:
            ComputeHordeError: the facilitator cannot be asked.
        """
        clock = self._client.clock
        while True:
            page = await self._client.get_log_page(self.uuid, offset)
            for piece in page.pieces:
                yield piece
            if page.ended and not page.pieces:
                return
            if not page.pieces:
                await clock.sleep_until(clock.now() + timedelta(seconds=LONGEST_POLL_SECONDS))
            offset = page.next_offset

    async def wait_for_streaming(
        self,
        timeout: float | None = None,
    ) -> None:
        """Returns when the job's own server can be reached.

        Args:
            timeout: seconds; ``None`` waits without limit.

        Raises:
            ComputeHordeJobTimeoutError: it cannot be reached in time.
            ComputeHordeError: the job has ended, or the facilitator cannot be asked.
        """

        async def is_ready() -> bool:
            if not self.status.is_in_progress():
                raise ComputeHordeError(
                    f"job {self.uuid} has ended and cannot be streamed with: it is"
                    f" {self.status.value}, {self.error or 'no error'}"
                )
            return any(entry.status.is_streaming_ready() for entry in self.status_history)

        await self._poll_until(is_ready, timeout, "become ready for streaming")

    async def refresh_from_facilitator(self) -> None:
        """Asks how the job is now.

        Raises:
            ComputeHordeError: the facilitator cannot be asked.
        """
        self._become(await self._client.get_job(self.uuid))

    def _become(self, now: "ComputeHordeJob") -> None:
        self.result = now.result
        self.status_history = now.status_history
        self.streaming_server_cert = now.streaming_server_cert
        self.streaming_server_address = now.streaming_server_address
        self.streaming_server_port = now.streaming_server_port

    async def _poll_until(
        self, done: Callable[[], Awaitable[bool]], seconds: float | None, what: str
    ) -> None:
        clock = self._client.clock
        limit = TimeLimit(seconds, clock)
        pause = FIRST_POLL_SECONDS
        while not await done():
            left = limit.left
            await clock.sleep_until(clock.now() + timedelta(seconds=min(pause, left)))
            try:
                async with limit.leaving_at_least(LAST_POLL_SECONDS):
                    await self.refresh_from_facilitator()
            except TimeoutError:
                left = 0
            if left <= pause and not await done():
                raise ComputeHordeJobTimeoutError(
                    f"Job {self.uuid} did not {what} within {seconds} seconds", job_uuid=self.uuid
                )
            pause = min(pause * POLL_GROWTH, LONGEST_POLL_SECONDS)


JobStatusCallback = Callable[[ComputeHordeJob, ComputeHordeJobStatusEntry], object]
"""Takes a job and an entry of its history; what it returns is awaited if it can be."""


async def call(callback: Callable[..., object] | None, *arguments: object) -> None:
    """Calls a user's function, coroutine function or nothing."""
    outcome = callback(*arguments) if callback is not None else None
    if inspect.isawaitable(outcome):
        await outcome

"""A job's handle: what users keep, ask and wait for."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from compute_horde_common.clock import Clock
from compute_horde_common.protocol.rest import JobView
from compute_horde_sdk._internal.errors import ComputeHordeError, ComputeHordeJobTimeoutError
from compute_horde_sdk._internal.results import (
    ComputeHordeJobResult,
    ComputeHordeJobStatus,
    ComputeHordeJobStatusEntry,
    Failure,
    failure_of,
    history_of,
    result_of,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.x509 import Certificate

FIRST_POLL_SECONDS = 0.1
LONGEST_POLL_SECONDS = 0.5
_SLOWER = 1.3

JobStatusCallbackType = Callable[
    ["ComputeHordeJob", ComputeHordeJobStatusEntry], Awaitable[None] | None
]


class Desk(Protocol):
    """What a job needs of its client."""

    @property
    def clock(self) -> Clock:
        """The client's clock."""
        ...

    async def view(self, job_uuid: str) -> JobView:
        """The facilitator's present view of a job."""
        ...


class ComputeHordeJob:
    """One job. `ComputeHordeClient.create_job` and `get_job` make it.

    Attributes:
        uuid: its name everywhere in the network.
        result: what it left; ``None`` while it goes on.
        status_history: every status so far, oldest first.
        streaming_public_cert: the certificate to show to a streaming job (from ``create_job``).
        streaming_private_key: its key.
        streaming_server_cert: the certificate (PEM) that the streaming job shows.
        streaming_server_address: where it can be reached, once it is ready.
        streaming_server_port: likewise.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the published signature
        self,
        client: Desk,
        uuid: str,
        result: ComputeHordeJobResult | None = None,
        streaming_public_cert: "Certificate | None" = None,
        streaming_private_key: "RSAPrivateKey | None" = None,
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
        self.status_history = status_history or []

    def __repr__(self) -> str:
        return f"<ComputeHordeJob: {self.uuid}>"

    @property
    def status(self) -> ComputeHordeJobStatus:
        """The newest status."""
        if not self.status_history:
            return ComputeHordeJobStatus.SENT
        return self.status_history[-1].status

    @property
    def error(self) -> Failure | None:
        """Why the job ended other than well; ``None`` if it goes on, or ended well."""
        return failure_of(self.status_history[-1].metadata) if self.status_history else None

    async def wait(
        self,
        timeout: float | None = None,  # noqa: ASYNC109 - the published signature
        status_callback: JobStatusCallbackType | None = None,
    ) -> None:
        """Returns when the job has ended, well or not; look at ``status``.

        Args:
            timeout: in seconds; ``None`` waits for ever.
            status_callback: called with the job and each status, old and new, once and in order.

        Raises:
            ComputeHordeJobTimeoutError: the job did not end in time. It goes on running.
        """
        await self._poll(timeout, lambda: not self.status.is_in_progress(), status_callback)

    async def wait_for_streaming(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - likewise
        """Returns when the job can be reached, or could at some time.

        Raises:
            ComputeHordeJobTimeoutError: it could not in time.
            ComputeHordeError: it ended before it could.
        """
        await self._poll(timeout, self._streamed_or_ended, None)
        if not self._has_streamed():
            raise ComputeHordeError(
                f"job {self.uuid} ended as {self.status} before it could be reached: {self.error}"
            )

    async def refresh_from_facilitator(self) -> None:
        """Reads status, result and address anew."""
        self.take(await self._client.view(self.uuid))

    def take(self, view: JobView) -> None:
        """Takes over what a facilitator's answer says."""
        self.status_history = history_of(view)
        self.result = result_of(view)
        self.streaming_server_cert = view.streaming_server_cert or None
        self.streaming_server_address = view.streaming_server_address or None
        self.streaming_server_port = view.streaming_server_port or None

    def _has_streamed(self) -> bool:
        return any(entry.status.is_streaming_ready() for entry in self.status_history)

    def _streamed_or_ended(self) -> bool:
        return self._has_streamed() or not self.status.is_in_progress()

    async def _poll(
        self,
        limit: float | None,
        done: Callable[[], bool],
        callback: JobStatusCallbackType | None,
    ) -> None:
        clock = self._client.clock
        deadline = None if limit is None else clock.now() + timedelta(seconds=limit)
        told, pause = 0, FIRST_POLL_SECONDS
        while True:
            told = await self._tell(callback, told)
            if done():
                return
            now = clock.now()
            if deadline is not None and now >= deadline:
                raise ComputeHordeJobTimeoutError(
                    f"Job {self.uuid} did not complete within {limit} seconds; it is {self.status}"
                )
            then = now + timedelta(seconds=pause)
            await clock.sleep_until(then if deadline is None else min(then, deadline))
            await self.refresh_from_facilitator()
            pause = min(pause * _SLOWER, LONGEST_POLL_SECONDS)

    async def _tell(self, callback: JobStatusCallbackType | None, told: int) -> int:
        if callback is None:
            return told
        for entry in self.status_history[told:]:
            answer: Any = callback(self, entry)
            if inspect.isawaitable(answer):
                await asyncio.ensure_future(answer)
        return len(self.status_history)

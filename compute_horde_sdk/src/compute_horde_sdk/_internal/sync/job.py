"""A job, for programs without an event loop."""

import importlib
import inspect
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from os import PathLike
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from compute_horde_sdk._internal.errors import ComputeHordeValidationError
from compute_horde_sdk._internal.events import ComputeHordeJobEvent
from compute_horde_sdk._internal.job import ComputeHordeJob, ComputeHordeJobFailedError
from compute_horde_sdk._internal.results import (
    ComputeHordeJobProgress,
    ComputeHordeJobResult,
    ComputeHordeJobStatus,
    ComputeHordeJobStatusEntry,
    ComputeHordeLogPiece,
    Failure,
)
from compute_horde_sdk._internal.sync.portal import Callbacks, Portal

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import rsa

    from compute_horde_sdk._internal.certificates import StreamingKey

T = TypeVar("T")


class ComputeHordeSyncJob:
    """A job that the network has: `ComputeHordeJob` with calls that block.

    Made by `ComputeHordeSyncClient`; its attributes are those of `ComputeHordeJob`.
    """

    def __init__(self, job: ComputeHordeJob, portal: Portal) -> None:
        self._job = job
        self._portal = portal

    def __repr__(self) -> str:
        return f"<{type(self).__qualname__}: {self.uuid!r}>"

    @property
    def uuid(self) -> str:
        """Its name."""
        return self._job.uuid

    @property
    def status(self) -> ComputeHordeJobStatus:
        """Where the job was when it was last asked for."""
        return self._job.status

    @property
    def status_history(self) -> list[ComputeHordeJobStatusEntry]:
        """All statuses until then, oldest first."""
        return self._job.status_history

    @property
    def result(self) -> ComputeHordeJobResult | None:
        """What it left behind; ``None`` until it has ended."""
        return self._job.result

    @property
    def error(self) -> Failure | None:
        """Why the job ended other than well, if it did."""
        return self._job.error

    @property
    def cancelled(self) -> bool:
        """Whether the job has ended because it was cancelled."""
        return self._job.cancelled

    @property
    def exit_status(self) -> int | None:
        """What the container ended with: 0 of a job that ended well, ``None`` if not known."""
        return self._job.exit_status

    @property
    def progress(self) -> ComputeHordeJobProgress | None:
        """How far it said last that it is; ``None`` if it never did."""
        return self._job.progress

    @property
    def trusted_job(self) -> "ComputeHordeSyncJob | None":
        """The same job on the trusted miner, if it was created together with this one."""
        trusted = self._job.trusted_job
        return None if trusted is None else ComputeHordeSyncJob(trusted, self._portal)

    @property
    def created_at(self) -> datetime | None:
        """When the facilitator got it. This and what follows is ``None`` where it does not say."""
        return self._job.created_at

    @property
    def executor_class(self) -> str | None:
        """The hardware that it asks for."""
        return self._job.executor_class

    @property
    def docker_image(self) -> str | None:
        """What it runs."""
        return self._job.docker_image

    @property
    def job_namespace(self) -> str | None:
        """What it is for."""
        return self._job.job_namespace

    @property
    def args(self) -> Sequence[str] | None:
        """Arguments of its container."""
        return self._job.args

    @property
    def env(self) -> Mapping[str, str] | None:
        """Environment of its container."""
        return self._job.env

    @property
    def on_trusted_miner(self) -> bool | None:
        """Whether it runs on the validator's own trusted miner."""
        return self._job.on_trusted_miner

    @property
    def cancel_requested_at(self) -> datetime | None:
        """Since when its end is asked for; ``None`` if it is not."""
        return self._job.cancel_requested_at

    @property
    def artifacts_dir(self) -> str | None:
        """Folder in its container whose files come back; empty if there is none."""
        return self._job.artifacts_dir

    @property
    def limits(self) -> Mapping[str, int] | None:
        """Seconds by stage: ``download``, ``streaming_start``, ``execution``, ``upload``."""
        return self._job.limits

    @property
    def inputs(self) -> Sequence[Mapping[str, Any]] | None:
        """Its input volumes, as they were sent."""
        return self._job.inputs

    @property
    def outputs(self) -> Sequence[Mapping[str, Any]] | None:
        """Its output volumes, as they were sent."""
        return self._job.outputs

    @property
    def streaming_public_cert(self) -> "x509.Certificate | None":
        """The certificate that the client of a streaming job must show."""
        return self._job.streaming_public_cert

    @property
    def streaming_private_key(self) -> "rsa.RSAPrivateKey | None":
        """Its key."""
        return self._job.streaming_private_key

    @property
    def streaming_server_cert(self) -> str | None:
        """The certificate (PEM) that the job's server shows."""
        return self._job.streaming_server_cert

    @property
    def streaming_server_address(self) -> str | None:
        """Where that is, once the job is ready for streaming."""
        return self._job.streaming_server_address

    @property
    def streaming_server_port(self) -> int | None:
        """Its port."""
        return self._job.streaming_server_port

    @property
    def streaming_key(self) -> "StreamingKey | None":
        """Both of them as one, to be saved; ``None`` if this object has none."""
        return self._job.streaming_key

    def attach_streaming_key(
        self, streaming_key: "StreamingKey | str | bytes | PathLike[str]"
    ) -> None:
        """As `ComputeHordeJob.attach_streaming_key`."""
        self._job.attach_streaming_key(streaming_key)

    def ssl_context(self) -> ssl.SSLContext:
        """As `ComputeHordeJob.ssl_context`."""
        return self._job.ssl_context()

    def http_client(self, **options: Any) -> httpx.Client:  # noqa: ANN401 - httpx says which there are
        """A client for what a streaming job serves; as `ComputeHordeJob.http_client`."""
        streaming = importlib.import_module("compute_horde_sdk._internal.streaming")
        client: httpx.Client = streaming.blocking_http_client(self._job, options)
        return client

    def raise_for_status(self) -> None:
        """As `ComputeHordeJob.raise_for_status`."""
        if self.status.is_failed():
            raise ComputeHordeJobFailedError(self)  # type: ignore[arg-type]  # has all that it uses

    def cancel(self) -> None:
        """As `ComputeHordeJob.cancel`."""
        self._portal.call(self._job.cancel)

    def refresh(self) -> None:
        """As `ComputeHordeJob.refresh`."""
        self._portal.call(self._job.refresh)

    def refresh_from_facilitator(self) -> None:
        """The same as `refresh`."""
        self.refresh()

    def wait(
        self,
        timeout: float | None = None,
        status_callback: "SyncStatusCallback | None" = None,
        *,
        progress_callback: "SyncProgressCallback | None" = None,
        raise_on_failure: bool = False,
    ) -> None:
        """As `ComputeHordeJob.wait`; callbacks are plain functions, called in this thread."""

        async def work(callbacks: Callbacks) -> None:
            await self._job.wait(
                timeout,
                in_caller(callbacks, "status_callback", status_callback, lambda _: self),
                progress_callback=in_caller(
                    callbacks, "progress_callback", progress_callback, lambda _: self
                ),
            )

        self._portal.call_with_callbacks(work)
        if raise_on_failure:
            self.raise_for_status()

    def wait_for_streaming(self, timeout: float | None = None) -> None:
        """As `ComputeHordeJob.wait_for_streaming`."""
        self._portal.call(lambda: self._job.wait_for_streaming(timeout))

    def logs(self, offset: int = 0, *, follow: bool = False) -> Iterator[ComputeHordeLogPiece]:
        """As `ComputeHordeJob.logs`, to be iterated over: ``list(job.logs())``."""
        pieces = self._job.logs(offset, follow=follow)
        return self._portal.iterate(pieces.__aiter__())

    def events(self) -> Iterator[ComputeHordeJobEvent]:
        """As `ComputeHordeJob.events`."""
        return self._portal.iterate(self._job.events())


SyncStatusCallback = Callable[[ComputeHordeSyncJob, ComputeHordeJobStatusEntry], object]
"""Takes a job and an entry of its history."""
SyncProgressCallback = Callable[[ComputeHordeSyncJob, ComputeHordeJobProgress], object]
"""Takes a job and how far it says that it is."""


def in_caller(
    callbacks: Callbacks,
    name: str,
    callback: Callable[..., object] | None,
    shown: Callable[[ComputeHordeJob], ComputeHordeSyncJob],
) -> Callable[..., object] | None:
    """A callback for the loop, which makes the user's be called in the caller's thread."""
    if callback is None:
        return None

    def plain(job: ComputeHordeJob, *arguments: object) -> None:
        outcome = callback(shown(job), *arguments)
        if inspect.isawaitable(outcome):
            if inspect.iscoroutine(outcome):
                outcome.close()
            raise ComputeHordeValidationError(name, "must be a plain function, not a coroutine's")

    async def told(job: ComputeHordeJob, *arguments: object) -> None:
        await callbacks.make(lambda: plain(job, *arguments))

    return told

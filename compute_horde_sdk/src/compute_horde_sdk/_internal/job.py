"""A job as its author sees it."""

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from compute_horde_sdk._internal.access import StreamingAccess
from compute_horde_sdk._internal.errors import ComputeHordeError, ComputeHordeJobTimeoutError
from compute_horde_sdk._internal.events import ComputeHordeJobEvent
from compute_horde_sdk._internal.following import Source, follow
from compute_horde_sdk._internal.logs import ComputeHordeJobLogs
from compute_horde_sdk._internal.results import (
    ComputeHordeJobFailure,
    ComputeHordeJobProgress,
    ComputeHordeJobResult,
    ComputeHordeJobStatus,
    ComputeHordeJobStatusEntry,
    Failure,
    JobFacts,
)
from compute_horde_sdk._internal.time_limit import TimeLimit

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import rsa

CANCELLED = "cancelled"


class Client(Source, Protocol):
    """What a job needs of the client that it came from."""

    async def get_job(self, job_uuid: str) -> "ComputeHordeJob":
        """The job as it is now."""
        ...

    async def cancel_job(self, job_uuid: str) -> "ComputeHordeJob":
        """The same, once its end is asked for."""
        ...


class ComputeHordeJob(StreamingAccess):
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
        trusted_job: the same job on the trusted miner, if it was created together with this one.
        created_at: when the facilitator got it. This and what follows is ``None`` where the
            facilitator does not say.
        executor_class: the hardware that it asks for.
        docker_image: what it runs.
        job_namespace: what it is for.
        args: arguments of its container.
        env: environment of its container.
        on_trusted_miner: whether it runs on the validator's own trusted miner.
        progress: how far it said last that it is; ``None`` if it never did.
        cancel_requested_at: since when its end is asked for; ``None`` if it is not.
        artifacts_dir: folder in its container whose files come back; empty if there is none.
        limits: seconds by stage: ``download``, ``streaming_start``, ``execution``, ``upload``.
        inputs: its input volumes, as they were sent.
        outputs: its output volumes, as they were sent.
    """

    created_at: datetime | None = None
    executor_class: str | None = None
    docker_image: str | None = None
    job_namespace: str | None = None
    args: Sequence[str] | None = None
    env: Mapping[str, str] | None = None
    on_trusted_miner: bool | None = None
    progress: ComputeHordeJobProgress | None = None
    cancel_requested_at: datetime | None = None
    artifacts_dir: str | None = None
    limits: Mapping[str, int] | None = None
    inputs: Sequence[Mapping[str, Any]] | None = None
    outputs: Sequence[Mapping[str, Any]] | None = None

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
        *,
        status: ComputeHordeJobStatus | None = None,
        facts: JobFacts | None = None,
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
        if status is not None and not self.status_history:
            self.status_history.append(ComputeHordeJobStatusEntry(client.clock.now(), status))
        self.trusted_job: ComputeHordeJob | None = None
        self._know(facts or JobFacts())

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

    @property
    def exit_status(self) -> int | None:
        """What the container ended with: 0 of a job that ended well, ``None`` if not known."""
        if isinstance(self.error, ComputeHordeJobFailure):
            return self.error.exit_status
        is_well = bool(self.status_history) and self.status.is_successful()
        return 0 if is_well else None

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

    def raise_for_status(self) -> None:
        """Raises an error if the job has ended other than well.

        Raises:
            ComputeHordeJobFailedError: it has.
        """
        if self.status.is_failed():
            raise ComputeHordeJobFailedError(self)

    async def wait(
        self,
        timeout: float | None = None,
        status_callback: "JobStatusCallback | None" = None,
        *,
        progress_callback: "JobProgressCallback | None" = None,
        raise_on_failure: bool = False,
    ) -> None:
        """Returns when the job has ended, well or not.

        Args:
            timeout: seconds; ``None`` waits without limit.
            status_callback: called with the job and each entry of its history, those that are
                known already included. May be a coroutine function. What it raises ends the wait.
            progress_callback: likewise with the job and how far it says that it is.
            raise_on_failure: whether to call `raise_for_status` then.

        Raises:
            ComputeHordeJobTimeoutError: it has not ended in time, and goes on running.
            ComputeHordeJobFailedError: it ended badly, and ``raise_on_failure`` is set.
            ComputeHordeError: the facilitator cannot be asked.
        """
        told, progress = 0, None

        async def has_ended() -> bool:
            nonlocal told, progress
            for entry in self.status_history[told:]:
                told += 1
                await call(status_callback, self, entry)
            if self.progress is not None and self.progress != progress:
                progress = self.progress
                await call(progress_callback, self, progress)
            return not self.status.is_in_progress()

        await self._wait_until(has_ended, timeout, "complete")
        if raise_on_failure:
            self.raise_for_status()

    def logs(self, offset: int = 0, *, follow: bool = False) -> ComputeHordeJobLogs:
        """What the job has written until now: ``await job.logs()`` is a list of pieces;
        ``async for piece in job.logs(follow=True)`` gives each as it comes until the job has ended.

        Args:
            offset: number of the first piece.
            follow: whether to go on until the job has ended.

        Raises:
            ComputeHordeError: the facilitator cannot be asked.
        """
        return ComputeHordeJobLogs(self._client, self.uuid, offset, follow=follow)

    async def events(self) -> AsyncGenerator[ComputeHordeJobEvent, None]:
        """All that has happened to the job, and then what happens, until it has ended: statuses,
        output, progress, and the end. The job is up to date as of each event.

        Raises:
            ComputeHordeError: the facilitator cannot be asked.
        """
        limit = TimeLimit(None, self._client.clock)
        async with aclosing(follow(self, self._client, limit, logs=True)) as events:
            async for event in events:
                yield event

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

        await self._wait_until(is_ready, timeout, "become ready for streaming")

    async def refresh(self) -> None:
        """Asks how the job is now.

        Raises:
            ComputeHordeError: the facilitator cannot be asked.
        """
        self._become(await self._client.get_job(self.uuid))

    async def refresh_from_facilitator(self) -> None:
        """The same as `refresh`.

        Raises:
            ComputeHordeError: the facilitator cannot be asked.
        """
        await self.refresh()

    def _become(self, now: "ComputeHordeJob") -> None:
        self.result = now.result
        self.status_history = now.status_history
        self.streaming_server_cert = now.streaming_server_cert
        self.streaming_server_address = now.streaming_server_address
        self.streaming_server_port = now.streaming_server_port
        self._know(now)

    def _know(self, now: "ComputeHordeJob | JobFacts") -> None:
        for fact in fields(JobFacts):
            setattr(self, fact.name, getattr(now, fact.name))

    async def _wait_until(
        self, done: Callable[[], Awaitable[bool]], seconds: float | None, what: str
    ) -> None:
        limit = TimeLimit(seconds, self._client.clock)
        if await done():
            return
        async with aclosing(follow(self, self._client, limit, logs=False)) as events:
            async for _ in events:
                if await done():
                    return
        raise ComputeHordeJobTimeoutError(
            f"Job {self.uuid} did not {what} within {seconds} seconds", job_uuid=self.uuid
        )


class ComputeHordeJobFailedError(ComputeHordeError):
    """A job ended other than well.

    Attributes:
        job: the job.
        job_uuid: its name.
        status: how it ended.
        reason: why, in one word; ``unknown`` where nobody said.
        stage: where in its run it was, or ``None``.
        exit_status: of its container, or ``None``.
        stdout: what it wrote until then.
        stderr: likewise.
    """

    def __init__(self, job: ComputeHordeJob) -> None:
        error = job.error
        failure = error if isinstance(error, ComputeHordeJobFailure) else None
        self.job = job
        self.job_uuid = job.uuid
        self.status = job.status
        self.reason = error.reason if error else "unknown"
        self.stage = failure.stage if failure else None
        self.exit_status = job.exit_status
        self.stdout = (failure and failure.stdout) or (job.result.stdout if job.result else "")
        self.stderr = (failure and failure.stderr) or (job.result.stderr if job.result else "")
        super().__init__(self._text(error.message if error else ""))

    def __reduce__(self) -> tuple[Callable[..., BaseException], tuple[object, ...]]:
        # The job holds connections, which stay where they are.
        return _unpickled, (str(self), {**vars(self), "job": None})

    def _text(self, message: str) -> str:
        where = f" in {self.stage}" if self.stage else ""
        exit_status = "" if self.exit_status is None else f", exit status {self.exit_status}"
        said = f": {message}" if message else ""
        return (
            f"job {self.job_uuid} ended as {self.status.value}{where}"
            f" ({self.reason}{exit_status}){said}"
        )


def _unpickled(text: str, facts: dict[str, object]) -> ComputeHordeJobFailedError:
    error = ComputeHordeJobFailedError.__new__(ComputeHordeJobFailedError, text)
    vars(error).update(facts)
    return error


JobStatusCallback = Callable[[ComputeHordeJob, ComputeHordeJobStatusEntry], object]
"""Takes a job and an entry of its history; what it returns is awaited if it can be."""

JobProgressCallback = Callable[[ComputeHordeJob, ComputeHordeJobProgress], object]
"""Takes a job and how far it is; what it returns is awaited if it can be."""


async def call(callback: Callable[..., object] | None, *arguments: object) -> None:
    """Calls a user's function, coroutine function or nothing."""
    outcome = callback(*arguments) if callback is not None else None
    if inspect.isawaitable(outcome):
        await outcome

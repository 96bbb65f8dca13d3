"""The client, for programs without an event loop."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, overload

import httpx
from typing_extensions import Self, Unpack

from compute_horde_common.clock import Clock
from compute_horde_sdk._internal.attempts import DEFAULT_ATTEMPTS
from compute_horde_sdk._internal.client import DEFAULT_FACILITATOR_URL, ComputeHordeClient
from compute_horde_sdk._internal.comparing import Comparator, comparator
from compute_horde_sdk._internal.cross_validation import CrossValidation
from compute_horde_sdk._internal.events import ComputeHordeJobEvent
from compute_horde_sdk._internal.fields import ComputeHordeJobFields
from compute_horde_sdk._internal.finding import PAGE_SIZE
from compute_horde_sdk._internal.hotkey import SigningKey, Wallet
from compute_horde_sdk._internal.http import ANSWER_SECONDS
from compute_horde_sdk._internal.job import ComputeHordeJob
from compute_horde_sdk._internal.results import ComputeHordeLogPage
from compute_horde_sdk._internal.sampling import DEFAULT_RATE, AdaptiveSampling
from compute_horde_sdk._internal.spec import ComputeHordeJobSpec
from compute_horde_sdk._internal.statuses import WantedStatus
from compute_horde_sdk._internal.sync.job import ComputeHordeSyncJob, SyncStatusCallback, in_caller
from compute_horde_sdk._internal.sync.portal import Callbacks, Portal
from compute_horde_sdk._internal.volumes import OutputVolume

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import rsa

    from compute_horde_sdk._internal.certificates import StreamingKey

SyncAttemptCallback = Callable[[ComputeHordeSyncJob], object]
"""Takes the job of an attempt."""


class ComputeHordeSyncClient:
    """Sends jobs to the network: `ComputeHordeClient` with calls that block.

    It works on an event loop in a thread of its own, and may be used by several threads, also
    beside another event loop; there, better use `ComputeHordeClient`. Use it as
    ``with ComputeHordeSyncClient(...) as client``, or call `close` when done. Not to be used in a
    process that was forked off after the first call.

    Its arguments, calls and errors are those of `ComputeHordeClient`; callbacks are plain
    functions, called in the thread that waits.
    """

    def __init__(
        self,
        hotkey: SigningKey | Wallet,
        compute_horde_validator_hotkey: str,
        job_queue: str | None = None,
        facilitator_url: str = DEFAULT_FACILITATOR_URL,
        *,
        request_timeout: float = ANSWER_SECONDS,
        push: bool = True,
        clock: Clock | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._client = ComputeHordeClient(
            hotkey,
            compute_horde_validator_hotkey,
            job_queue,
            facilitator_url,
            request_timeout=request_timeout,
            push=push,
            clock=clock,
            transport=transport,
        )
        self._portal = Portal()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def hotkey(self) -> SigningKey:
        """The key that signs."""
        return self._client.hotkey

    @property
    def compute_horde_validator_hotkey(self) -> str:
        """Address of the validator that is to run the jobs."""
        return self._client.compute_horde_validator_hotkey

    @property
    def job_queue(self) -> str | None:
        """Kept, and not used for anything."""
        return self._client.job_queue

    @property
    def facilitator_url(self) -> str:
        """The facilitator."""
        return self._client.facilitator_url

    @property
    def streaming_public_cert(self) -> "x509.Certificate | None":
        """The certificate of the streaming job that was created last."""
        return self._client.streaming_public_cert

    @property
    def streaming_private_key(self) -> "rsa.RSAPrivateKey | None":
        """Its key."""
        return self._client.streaming_private_key

    def close(self) -> None:
        """Closes the connections and ends the thread. Jobs go on."""
        self._portal.close(self._client.aclose)

    def authenticate(self) -> None:
        """As `ComputeHordeClient.authenticate`."""
        self._portal.call(self._client.authenticate)

    @overload
    def create_job(
        self,
        job_spec: ComputeHordeJobSpec,
        on_trusted_miner: bool = False,
        *,
        run_cross_validation: bool = False,
        trusted_output_volumes: Mapping[str, OutputVolume] | None = None,
    ) -> ComputeHordeSyncJob: ...

    @overload
    def create_job(
        self,
        *,
        on_trusted_miner: bool = False,
        run_cross_validation: bool = False,
        trusted_output_volumes: Mapping[str, OutputVolume] | None = None,
        **fields: Unpack[ComputeHordeJobFields],
    ) -> ComputeHordeSyncJob: ...

    def create_job(
        self,
        job_spec: ComputeHordeJobSpec | None = None,
        on_trusted_miner: bool = False,
        *,
        run_cross_validation: bool = False,
        trusted_output_volumes: Mapping[str, OutputVolume] | None = None,
        **fields: Any,
    ) -> ComputeHordeSyncJob:
        """As `ComputeHordeClient.create_job`."""
        return self._of(
            lambda: self._client.create_job(
                job_spec,  # type: ignore[arg-type]  # the client says what is wrong with None
                on_trusted_miner,
                run_cross_validation=run_cross_validation,
                trusted_output_volumes=trusted_output_volumes,
                **fields,
            )
        )

    def run_until_complete(
        self,
        job_spec: ComputeHordeJobSpec,
        on_trusted_miner: bool = False,
        job_attempt_callback: SyncAttemptCallback | None = None,
        timeout: float | None = None,
        max_attempts: int = DEFAULT_ATTEMPTS,
        *,
        status_callback: SyncStatusCallback | None = None,
    ) -> ComputeHordeSyncJob:
        """As `ComputeHordeClient.run_until_complete`."""

        async def work(callbacks: Callbacks) -> ComputeHordeJob:
            return await self._client.run_until_complete(
                job_spec,
                on_trusted_miner,
                in_caller(callbacks, "job_attempt_callback", job_attempt_callback, self._shown),
                timeout,
                max_attempts,
                status_callback=in_caller(
                    callbacks, "status_callback", status_callback, self._shown
                ),
            )

        return self._shown(self._portal.call_with_callbacks(work))

    def cross_validate(
        self,
        job_spec: ComputeHordeJobSpec,
        *,
        sample: float | AdaptiveSampling = DEFAULT_RATE,
        compare: Comparator | None = None,
        trusted_output_volumes: Mapping[str, OutputVolume] | None = None,
        report: bool = True,
        timeout: float | None = None,
        job_attempt_callback: SyncAttemptCallback | None = None,
    ) -> CrossValidation[ComputeHordeSyncJob]:
        """As `ComputeHordeClient.cross_validate`; a plain comparator is called in this thread."""
        plain = comparator(compare)

        async def work(callbacks: Callbacks) -> CrossValidation[ComputeHordeJob]:
            return await self._client.cross_validate(
                job_spec,
                sample=sample,
                compare=lambda *results: callbacks.make(lambda: plain(*results)),
                trusted_output_volumes=trusted_output_volumes,
                report=report,
                timeout=timeout,
                job_attempt_callback=in_caller(
                    callbacks, "job_attempt_callback", job_attempt_callback, self._shown
                ),
            )

        found = self._portal.call_with_callbacks(work)
        return CrossValidation(
            job=self._shown(found.job),
            verdict=found.verdict,
            trusted_job=None if found.trusted_job is None else self._shown(found.trusted_job),
            difference=found.difference,
            reason=found.reason,
            evidence=found.evidence,
            report=found.report,
            report_error=found.report_error,
        )

    def get_job(
        self,
        job_uuid: str,
        streaming_key: "StreamingKey | str | bytes | PathLike[str] | None" = None,
    ) -> ComputeHordeSyncJob:
        """As `ComputeHordeClient.get_job`."""
        return self._of(lambda: self._client.get_job(job_uuid, streaming_key))

    def cancel_job(self, job_uuid: str) -> ComputeHordeSyncJob:
        """As `ComputeHordeClient.cancel_job`."""
        return self._of(lambda: self._client.cancel_job(job_uuid))

    def get_log_page(self, job_uuid: str, offset: int = 0) -> ComputeHordeLogPage:
        """As `ComputeHordeClient.get_log_page`."""
        return self._portal.call(lambda: self._client.get_log_page(job_uuid, offset))

    def events(self, job_uuid: str, *, logs: bool = True) -> Iterator[ComputeHordeJobEvent]:
        """As `ComputeHordeClient.events`."""
        return self._portal.iterate(self._client.events(job_uuid, logs=logs))

    def get_jobs(
        self, page: int = 1, page_size: int = PAGE_SIZE, *, status: WantedStatus = None
    ) -> list[ComputeHordeSyncJob]:
        """As `ComputeHordeClient.get_jobs`."""
        jobs = self._portal.call(lambda: self._client.get_jobs(page, page_size, status=status))
        return [self._shown(job) for job in jobs]

    def iter_jobs(self, status: WantedStatus = None) -> Iterator[ComputeHordeSyncJob]:
        """As `ComputeHordeClient.iter_jobs`."""
        return map(self._shown, self._portal.iterate(self._client.iter_jobs(status)))

    def report_cheated_job(
        self,
        job_uuid: str,
        trusted_job_uuid: str,
        *,
        details: Any = None,  # noqa: ANN401 - any JSON
    ) -> str:
        """As `ComputeHordeClient.report_cheated_job`."""
        return self._portal.call(
            lambda: self._client.report_cheated_job(job_uuid, trusted_job_uuid, details=details)
        )

    def _of(self, work: Callable[[], Awaitable[ComputeHordeJob]]) -> ComputeHordeSyncJob:
        return self._shown(self._portal.call(work))

    def _shown(self, job: ComputeHordeJob) -> ComputeHordeSyncJob:
        return ComputeHordeSyncJob(job, self._portal)

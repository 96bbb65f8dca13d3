"""The client: creates, finds and follows jobs on one facilitator."""

import asyncio
import inspect
import json
import random
import uuid as uuids
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypeAlias
from urllib.parse import quote

import httpx

from compute_horde_common.clock import Clock, SystemClock
from compute_horde_common.protocol.rest import JobPage, JobView, signature_headers
from compute_horde_common.protocol.signatures import cheat_report_payload, job_payload, signed
from compute_horde_sdk._internal.certificates import make_certificate, pem
from compute_horde_sdk._internal.errors import (
    ComputeHordeJobTimeoutError,
    ComputeHordeValidationError,
)
from compute_horde_sdk._internal.http import FacilitatorHttp, SigningKey
from compute_horde_sdk._internal.job import ComputeHordeJob
from compute_horde_sdk._internal.results import ComputeHordeJobStatus
from compute_horde_sdk._internal.spec import ComputeHordeJobSpec, body_of, to_travel

DEFAULT_FACILITATOR_URL = "https://facilitator.computehorde.io/"
DEFAULT_MAX_JOB_RUN_ATTEMPTS = 3
_PAGE_SIZE = 10
_LONGEST_PAUSE_SECONDS = 5.0
_HOPELESS = {"invalid_signature"}

JobAttemptCallbackType: TypeAlias = Callable[[ComputeHordeJob], Awaitable[None] | None]


class _HotkeySigner:
    def __init__(self, hotkey: SigningKey) -> None:
        self._hotkey = hotkey
        self.ss58 = hotkey.ss58_address

    def sign(self, data: bytes) -> bytes:
        return bytes(self._hotkey.sign(data))


class ComputeHordeClient:
    """Runs jobs on ComputeHorde.

    Args:
        hotkey: signs requests: bittensor's keypair, or anything with ``sign`` and
            ``ss58_address``. A wallet stands for its hotkey.
        compute_horde_validator_hotkey: SS58 address of the validator that runs the jobs.
        job_queue: taken for compatibility; it has no effect.
        facilitator_url: the facilitator's address, with or without ``/api/v1/``.
        clock: for tests.
        transport: for tests: httpx's.

    Use it as ``async with ComputeHordeClient(...) as client``, or call `aclose` at the end.
    """

    def __init__(
        self,
        hotkey: SigningKey,
        compute_horde_validator_hotkey: str,
        job_queue: str | None = None,
        facilitator_url: str = DEFAULT_FACILITATOR_URL,
        *,
        clock: Clock | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.hotkey = _signing_key(hotkey)
        self.compute_horde_validator_hotkey = compute_horde_validator_hotkey
        self.job_queue = job_queue
        self.facilitator_url = facilitator_url
        self.clock = clock or SystemClock()
        self._signer = _HotkeySigner(self.hotkey)
        self._http = FacilitatorHttp(self.hotkey, facilitator_url, self.clock, transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes all connections."""
        await self._http.aclose()

    async def authenticate(self) -> None:
        """Logs in. Other calls do it when they have to.

        Raises:
            ComputeHordeError: this hotkey is not let in, or the facilitator cannot be reached.
        """
        await self._http.login()

    async def create_job(
        self, job_spec: ComputeHordeJobSpec, on_trusted_miner: bool = False
    ) -> ComputeHordeJob:
        """Submits a job and returns at once. A retry of the request never makes a second one.

        Raises:
            ComputeHordeValidationError: the spec is wrong; nothing was sent.
            ComputeHordeAPIError: the facilitator refused it; the text has its reasons.
        """
        certificate = key = streaming_cert = None
        if job_spec.streaming:
            certificate, key, streaming_cert = await asyncio.to_thread(self._streaming_keys)
        spec = to_travel(job_spec, on_trusted_miner=on_trusted_miner, streaming_cert=streaming_cert)
        body = body_of(
            spec,
            validator=self.compute_horde_validator_hotkey,
            job_namespace=job_spec.job_namespace,
            with_lists=(job_spec.input_volumes is not None, job_spec.output_volumes is not None),
        )
        signature = signed(job_payload(spec), self._signer, timestamp_ns=self._now_ns())
        view = await self._http.request(
            "POST",
            "job-docker/",
            JobView,
            json=body,
            headers={
                **signature_headers(signature),
                "Idempotency-Key": str(uuids.uuid4()),
            },
        )
        job = self._job(view)
        job.streaming_public_cert, job.streaming_private_key = certificate, key
        return job

    async def run_until_complete(
        self,
        job_spec: ComputeHordeJobSpec,
        on_trusted_miner: bool = False,
        job_attempt_callback: JobAttemptCallbackType | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the published signature
        max_attempts: int = DEFAULT_MAX_JOB_RUN_ATTEMPTS,
    ) -> ComputeHordeJob:
        """Runs a job, again if the network failed it or nobody took it.

        A job that went wrong by itself is not run again: it would go wrong again.

        Args:
            job_spec: what to run.
            on_trusted_miner: whether to run it on the validator's own miner.
            job_attempt_callback: called with each job after it was created.
            timeout: for all attempts together, in seconds; none is begun after it.
            max_attempts: how many jobs at most; 0 or less: no limit.

        Returns:
            The last job, ended well or not; look at ``status``.

        Raises:
            ComputeHordeJobTimeoutError: the time was over first; the job goes on running.
        """
        deadline = None if timeout is None else self.clock.now() + timedelta(seconds=timeout)
        attempt = 0
        while True:
            attempt += 1
            job = await self.create_job(job_spec, on_trusted_miner)
            if job_attempt_callback is not None:
                answer: Any = job_attempt_callback(job)
                if inspect.isawaitable(answer):
                    await asyncio.ensure_future(answer)
            await job.wait(timeout=self._left(deadline))
            if not _worth_another_try(job) or attempt == max_attempts:
                return job
            await self._pause(attempt, deadline, job)

    async def get_job(self, job_uuid: str) -> ComputeHordeJob:
        """The job of that name.

        Raises:
            ComputeHordeNotFoundError: there is none, or it is another hotkey's.
        """
        return self._job(await self.view(job_uuid))

    async def get_jobs(self, page: int = 1, page_size: int = 10) -> list[ComputeHordeJob]:
        """One page of this hotkey's jobs, newest first.

        Raises:
            ComputeHordeNotFoundError: there is no such page.
        """
        return [self._job(view) for view in (await self._page(page, page_size)).results]

    async def iter_jobs(self) -> AsyncIterator[ComputeHordeJob]:
        """All of this hotkey's jobs, newest first, read page by page."""
        number = 1
        while True:
            page = await self._page(number, _PAGE_SIZE)
            for view in page.results:
                yield self._job(view)
            if page.next is None:
                return
            number += 1

    async def report_cheated_job(
        self,
        job_uuid: str,
        trusted_job_uuid: str,
        *,
        details: Any = None,  # noqa: ANN401 - any JSON
    ) -> str:
        """Tells the validator that the miner cheated on a job.

        Args:
            job_uuid: the job.
            trusted_job_uuid: the same job, run on the trusted miner with another result.
            details: evidence, as JSON.

        Returns:
            The facilitator's answer.
        """
        body = {
            "job_uuid": str(job_uuid),
            "trusted_job_uuid": str(trusted_job_uuid),
            "details": details,
        }
        try:
            json.dumps(details, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ComputeHordeValidationError("details", f"is no JSON: {error}") from None
        signature = signed(
            cheat_report_payload(body["job_uuid"], body["trusted_job_uuid"], details),
            self._signer,
            timestamp_ns=self._now_ns(),
            scope="FullRequest",
        )
        answer = await self._http.raw(
            "POST", "cheated-job/", json=body, headers=signature_headers(signature)
        )
        return answer.text

    async def view(self, job_uuid: str) -> JobView:
        """The facilitator's present view of a job."""
        return await self._http.request("GET", f"jobs/{quote(str(job_uuid), safe='')}/", JobView)

    async def _page(self, page: int, page_size: int) -> JobPage:
        return await self._http.request(
            "GET", "jobs/", JobPage, params={"page": page, "page_size": page_size}
        )

    def _job(self, view: JobView) -> ComputeHordeJob:
        job = ComputeHordeJob(self, view.uuid)
        job.take(view)
        return job

    def _streaming_keys(self) -> tuple[Any, Any, str]:
        certificate, key = make_certificate(self.clock)
        return certificate, key, pem(certificate)

    async def _pause(self, attempt: int, deadline: datetime | None, job: ComputeHordeJob) -> None:
        """Waits a little longer after each attempt; never past the deadline."""
        jitter = 1 + random.random() / 10  # noqa: S311 - spreads load, protects nothing
        seconds = min(0.2 * 2 ** (attempt - 1), _LONGEST_PAUSE_SECONDS) * jitter
        then = self.clock.now() + timedelta(seconds=seconds)
        if deadline is not None and then >= deadline:
            raise ComputeHordeJobTimeoutError(
                f"no time is left for another attempt; the last one, job {job.uuid},"
                f" ended as {job.status}: {job.error}"
            )
        await self.clock.sleep_until(then)

    def _left(self, deadline: datetime | None) -> float | None:
        if deadline is None:
            return None
        return max(0.0, (deadline - self.clock.now()).total_seconds())

    def _now_ns(self) -> int:
        return int(self.clock.now().timestamp() * 1e6) * 1000


def _signing_key(given: Any) -> SigningKey:  # noqa: ANN401 - whatever the user passes is checked
    """A hotkey, or a wallet's hotkey."""
    key: Any = given if hasattr(given, "ss58_address") else getattr(given, "hotkey", None)
    if not hasattr(key, "ss58_address") or not hasattr(key, "sign"):
        raise ComputeHordeValidationError(
            "hotkey", "pass a keypair, e.g. bittensor_wallet.Wallet(name=..., hotkey=...).hotkey"
        )
    checked: SigningKey = key
    return checked


def _worth_another_try(job: ComputeHordeJob) -> bool:
    if job.status not in {ComputeHordeJobStatus.REJECTED, ComputeHordeJobStatus.HORDE_FAILED}:
        return False
    return getattr(job.error, "reason", "") not in _HOPELESS

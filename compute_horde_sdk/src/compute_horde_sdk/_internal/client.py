"""The client: creates jobs and finds them again."""

import asyncio
import importlib
import json
import re
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any

import httpx
from typing_extensions import Self

from compute_horde_common.clock import Clock, SystemClock
from compute_horde_common.protocol import rest, signatures
from compute_horde_common.python310 import UTC
from compute_horde_sdk._internal.errors import (
    SHOWN_BODY_CHARACTERS,
    ComputeHordeAPIError,
    ComputeHordeCancelError,
    ComputeHordeJobTimeoutError,
    ComputeHordeValidationError,
)
from compute_horde_sdk._internal.hotkey import HotkeySigner, SigningKey, Wallet
from compute_horde_sdk._internal.http import IDEMPOTENCY_KEY, Facilitator, parsed
from compute_horde_sdk._internal.job import ComputeHordeJob, call
from compute_horde_sdk._internal.results import (
    ComputeHordeJobStatus,
    ComputeHordeLogPage,
    JobBody,
    LogBody,
    PageBody,
)
from compute_horde_sdk._internal.spec import ComputeHordeJobSpec, compact_json, create_request
from compute_horde_sdk._internal.time_limit import TimeLimit

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import rsa

    from compute_horde_sdk._internal.certificates import StreamingKey

DEFAULT_FACILITATOR_URL = "https://facilitator.computehorde.io/"
DEFAULT_ATTEMPTS = 3
FIRST_RETRY_SECONDS = 0.2
LONGEST_RETRY_SECONDS = 5.0
PAGE_SIZE = 10

_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_JOB_NAME = re.compile(r"[0-9A-Za-z_-]{1,64}")
_HOPELESS_REJECTIONS = {"invalid_signature", "validator_blacklisted", "invalid_receipt"}

JobAttemptCallback = Callable[[ComputeHordeJob], object]
"""Takes the job of an attempt; what it returns is awaited if it can be."""


class ComputeHordeClient:
    """Sends jobs to the network through a facilitator.

    Logs in by itself. Use it as ``async with ComputeHordeClient(...) as client``, or call
    `aclose` when done.

    Args:
        hotkey: the key that signs: a ``bittensor_wallet.Keypair``, a wallet that holds one, or any
            object with ``ss58_address`` and ``sign(bytes) -> bytes``.
        compute_horde_validator_hotkey: address of the validator that is to run the jobs.
        job_queue: kept, and not used for anything.
        facilitator_url: with or without ``/api/v1/``.
        clock: what the time is; for tests.
        transport: what carries requests; for tests.

    Raises:
        ComputeHordeValidationError: an argument cannot be used.
    """

    def __init__(
        self,
        hotkey: SigningKey | Wallet,
        compute_horde_validator_hotkey: str,
        job_queue: str | None = None,
        facilitator_url: str = DEFAULT_FACILITATOR_URL,
        *,
        clock: Clock | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        if not isinstance(compute_horde_validator_hotkey, str):
            raise ComputeHordeValidationError(
                "compute_horde_validator_hotkey", "must be the ss58 address of a hotkey, as str"
            )
        self._signer = HotkeySigner(hotkey)
        self.hotkey = self._signer.key
        self.compute_horde_validator_hotkey = compute_horde_validator_hotkey
        self.job_queue = job_queue
        self.facilitator_url = facilitator_url
        self.clock: Clock = clock if clock is not None else SystemClock()
        self.streaming_public_cert: x509.Certificate | None = None
        self.streaming_private_key: rsa.RSAPrivateKey | None = None
        self._facilitator = Facilitator(facilitator_url, self._signer, self.clock, transport)

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
        """Closes the connections. Jobs go on; this client cannot ask for them any more."""
        await self._facilitator.aclose()

    async def authenticate(self) -> None:
        """Logs in now; otherwise that happens before the first request.

        Raises:
            ComputeHordeError: the facilitator does not let this hotkey in.
        """
        await self._facilitator.login()

    async def create_job(
        self, job_spec: ComputeHordeJobSpec, on_trusted_miner: bool = False
    ) -> ComputeHordeJob:
        """Sends a job, and returns as soon as the facilitator has it.

        A request that is repeated because its answer got lost makes no second job.

        Args:
            job_spec: what to run.
            on_trusted_miner: run it on the validator's own trusted miner, to compare results.

        Raises:
            ComputeHordeValidationError: the spec cannot work; nothing was sent.
            ComputeHordeAPIError: the facilitator refused the job.
            ComputeHordeError: the facilitator cannot be reached.
        """
        key = await self._new_streaming_key() if job_spec.streaming else None
        request = create_request(
            job_spec,
            validator_hotkey=self.compute_horde_validator_hotkey,
            on_trusted_miner=bool(on_trusted_miner),
            client_certificate=key.pem if key else None,
        )
        signature = signatures.signed(
            signatures.job_payload(request.signed), self._signer, timestamp_ns=self._now_ns()
        )
        headers = {**rest.signature_headers(signature), IDEMPOTENCY_KEY: str(uuid.uuid4())}
        response = await self._facilitator.post("/job-docker/", request.content, headers)
        job = self._job(parsed(JobBody, response))
        if key is not None:
            job.streaming_public_cert = self.streaming_public_cert = key.certificate
            job.streaming_private_key = self.streaming_private_key = key.private_key
        return job

    async def run_until_complete(
        self,
        job_spec: ComputeHordeJobSpec,
        on_trusted_miner: bool = False,
        job_attempt_callback: JobAttemptCallback | None = None,
        timeout: float | None = None,
        max_attempts: int = DEFAULT_ATTEMPTS,
    ) -> ComputeHordeJob:
        """Sends a job and waits for its end; sends it again where that may help.

        That is when the network failed it, or nobody took it. A job that went wrong by itself
        (exit status, time limit, inputs) would do so again, so it is returned: look at ``status``
        and ``error``.

        Args:
            job_spec: what to run.
            on_trusted_miner: run it on the validator's own trusted miner.
            job_attempt_callback: called with each job that was created, before it is waited for.
            timeout: seconds for all attempts together; no attempt starts after them.
            max_attempts: how many jobs are created at most; 0 or less is without limit.

        Raises:
            ComputeHordeJobTimeoutError: the time is over before an attempt has ended.
            ComputeHordeError: as `create_job`.
        """
        limit = TimeLimit(timeout, self.clock)
        attempt = 1
        while True:
            job = await self._create_within(limit, timeout, job_spec, on_trusted_miner)
            await call(job_attempt_callback, job)
            await self._wait_within(limit, timeout, job)
            pause = _pause_after(attempt)
            is_last = attempt == max_attempts or pause >= limit.left
            if is_last or not _may_succeed_again(job):
                return job
            await self.clock.sleep_until(self.clock.now() + timedelta(seconds=pause))
            attempt += 1

    async def get_job(self, job_uuid: str) -> ComputeHordeJob:
        """One of this hotkey's jobs.

        Raises:
            ComputeHordeNotFoundError: it has no such job.
            ComputeHordeError: the facilitator cannot be asked.
        """
        name = _job_name("job_uuid", job_uuid)
        return self._job(parsed(JobBody, await self._facilitator.get(f"/jobs/{name}/")))

    async def cancel_job(self, job_uuid: str) -> ComputeHordeJob:
        """Asks for the end of one of this hotkey's jobs; returns it as it is now.

        It ends a moment later, as `ComputeHordeJob.cancel` tells.

        Raises:
            ComputeHordeCancelError: it cannot be cancelled.
            ComputeHordeNotFoundError: this hotkey has no such job.
            ComputeHordeError: the facilitator cannot be asked.
        """
        name = _job_name("job_uuid", job_uuid)
        headers = {IDEMPOTENCY_KEY: str(uuid.uuid4())}
        try:
            response = await self._facilitator.post(f"/jobs/{name}/cancel/", b"{}", headers)
        except ComputeHordeAPIError as error:
            if error.status_code != httpx.codes.CONFLICT:
                raise
            raise ComputeHordeCancelError(
                f"job {name} cannot be cancelled: {_detail(error.body)}",
                status_code=error.status_code,
                body=error.body,
            ) from error
        return self._job(parsed(JobBody, response))

    async def get_log_page(self, job_uuid: str, offset: int = 0) -> ComputeHordeLogPage:
        """Some of what one of this hotkey's jobs wrote, from the piece with a number on.

        Raises:
            ComputeHordeNotFoundError: this hotkey has no such job.
            ComputeHordeError: the facilitator cannot be asked.
        """
        path = f"/jobs/{_job_name('job_uuid', job_uuid)}/logs/"
        answer = await self._facilitator.get(path, {"offset": str(offset)})
        return parsed(LogBody, answer).value()

    async def get_jobs(self, page: int = 1, page_size: int = PAGE_SIZE) -> list[ComputeHordeJob]:
        """One page of this hotkey's jobs, each in full.

        Raises:
            ComputeHordeNotFoundError: there is no such page.
            ComputeHordeError: the facilitator cannot be asked.
        """
        return [self._job(body) for body in (await self._page(page, page_size)).results]

    async def iter_jobs(self) -> AsyncIterator[ComputeHordeJob]:
        """All of this hotkey's jobs, each once, asked for page by page.

        Raises:
            ComputeHordeError: the facilitator cannot be asked.
        """
        # A job that is created meanwhile moves the others on to the next page.
        seen: set[str] = set()
        number, has_more = 1, True
        while has_more:
            page = await self._page(number, PAGE_SIZE)
            for body in page.results:
                if body.uuid not in seen:
                    seen.add(body.uuid)
                    yield self._job(body)
            number, has_more = number + 1, page.next is not None

    async def report_cheated_job(
        self,
        job_uuid: str,
        trusted_job_uuid: str,
        *,
        details: Any = None,  # noqa: ANN401 - any JSON
    ) -> str:
        """Says that the miner of a job cheated.

        Args:
            job_uuid: the job.
            trusted_job_uuid: the same job on the trusted miner, with another result.
            details: what differs; any JSON.

        Returns:
            The facilitator's answer.

        Raises:
            ComputeHordeValidationError: ``details`` is no JSON.
            ComputeHordeNotFoundError: one of the jobs is unknown, or is not of the right kind.
            ComputeHordeAPIError: the report was refused, for example because there is one already.
        """
        body = {
            "job_uuid": _job_name("job_uuid", job_uuid),
            "trusted_job_uuid": _job_name("trusted_job_uuid", trusted_job_uuid),
        }
        try:
            evidence = json.loads(json.dumps(details, allow_nan=False))
            content = compact_json({**body, "details": evidence})
        except (TypeError, ValueError, RecursionError) as error:
            raise ComputeHordeValidationError("details", f"must be JSON: {error}") from error
        payload = signatures.cheat_report_payload(**body, details=evidence)
        signature = signatures.signed(
            payload, self._signer, timestamp_ns=self._now_ns(), scope="FullRequest"
        )
        headers = rest.signature_headers(signature)
        return (await self._facilitator.post("/cheated-job/", content, headers)).text

    async def _create_within(
        self,
        limit: TimeLimit,
        seconds: float | None,
        job_spec: ComputeHordeJobSpec,
        on_trusted_miner: bool,
    ) -> ComputeHordeJob:
        late = f"Job could not be created, so it did not complete within {seconds} seconds"
        if limit.left <= 0:
            raise ComputeHordeJobTimeoutError(late)
        try:
            async with limit.leaving_at_least(0.0):
                return await self.create_job(job_spec, on_trusted_miner)
        except TimeoutError as error:
            raise ComputeHordeJobTimeoutError(late) from error

    @staticmethod
    async def _wait_within(limit: TimeLimit, seconds: float | None, job: ComputeHordeJob) -> None:
        try:
            await job.wait(timeout=limit.left)
        except ComputeHordeJobTimeoutError as error:
            raise ComputeHordeJobTimeoutError(
                f"Job {job.uuid} did not complete within {seconds} seconds", job_uuid=job.uuid
            ) from error

    async def _page(self, page: int, page_size: int) -> PageBody:
        parameters = {"page": str(page), "page_size": str(page_size)}
        return parsed(PageBody, await self._facilitator.get("/jobs/", parameters))

    async def _new_streaming_key(self) -> "StreamingKey":
        certificates = importlib.import_module("compute_horde_sdk._internal.certificates")
        key: StreamingKey = await asyncio.to_thread(
            certificates.new_streaming_key, self.clock.now()
        )
        return key

    def _job(self, body: JobBody) -> ComputeHordeJob:
        return ComputeHordeJob(
            self,
            body.uuid,
            result=body.result(),
            streaming_server_cert=body.streaming_server_cert,
            streaming_server_address=body.streaming_server_address,
            streaming_server_port=body.streaming_server_port,
            status_history=body.history(),
        )

    def _now_ns(self) -> int:
        return (self.clock.now() - _UNIX_EPOCH) // timedelta(microseconds=1) * 1000


def _job_name(field: str, job_uuid: object) -> str:
    name = str(job_uuid)
    if not _JOB_NAME.fullmatch(name):
        raise ComputeHordeValidationError(
            field, f"{name[:100]!r} is no job's uuid; give the uuid of a ComputeHordeJob"
        )
    return name


def _detail(body: str) -> str:
    try:
        detail = json.loads(body)["detail"]
    except (ValueError, TypeError, LookupError):
        detail = body
    return str(detail)[:SHOWN_BODY_CHARACTERS]


def _may_succeed_again(job: ComputeHordeJob) -> bool:
    if job.status is ComputeHordeJobStatus.REJECTED:
        return job.error is None or job.error.reason not in _HOPELESS_REJECTIONS
    return job.status is ComputeHordeJobStatus.HORDE_FAILED


def _pause_after(attempt: int) -> float:
    return min(FIRST_RETRY_SECONDS * 2.0 ** min(attempt - 1, 16), LONGEST_RETRY_SECONDS)

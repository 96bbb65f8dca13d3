"""The client: creates jobs and finds them again."""

import os
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, overload

import httpx
from typing_extensions import Self, Unpack

from compute_horde_common.clock import Clock, SystemClock
from compute_horde_common.protocol import rest, signatures
from compute_horde_sdk._internal.attempts import DEFAULT_ATTEMPTS, Attempts, JobAttemptCallback
from compute_horde_sdk._internal.comparing import Comparator, comparator
from compute_horde_sdk._internal.creating import Creation, nanoseconds
from compute_horde_sdk._internal.cross_validation import Check, CrossValidation
from compute_horde_sdk._internal.errors import ComputeHordeValidationError
from compute_horde_sdk._internal.fields import ComputeHordeJobFields, wanted_spec
from compute_horde_sdk._internal.finding import JobFinder, job_name
from compute_horde_sdk._internal.hotkey import HotkeySigner, SigningKey, Wallet
from compute_horde_sdk._internal.http import ANSWER_SECONDS, Facilitator
from compute_horde_sdk._internal.job import ComputeHordeJob, JobStatusCallback
from compute_horde_sdk._internal.reports import cheat_report
from compute_horde_sdk._internal.sampling import DEFAULT_RATE, AdaptiveSampling
from compute_horde_sdk._internal.spec import ComputeHordeJobSpec
from compute_horde_sdk._internal.volumes import OutputVolume

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import rsa


DEFAULT_FACILITATOR_URL = "https://facilitator.computehorde.io/"
FACILITATOR_URL_VARIABLE = "COMPUTE_HORDE_FACILITATOR_URL"


class ComputeHordeClient(JobFinder):
    """Sends jobs to the network through a facilitator.

    Logs in by itself. Use it as ``async with ComputeHordeClient(...) as client``, or call
    `aclose` when done.

    Args:
        hotkey: the key that signs: a ``bittensor_wallet.Keypair``, a wallet that holds one, or any
            object with ``ss58_address`` and ``sign(bytes) -> bytes``.
        compute_horde_validator_hotkey: address of the validator that is to run the jobs.
        job_queue: kept, and not used for anything.
        facilitator_url: with or without ``/api/v1/``. Where it is the default, the environment
            variable ``COMPUTE_HORDE_FACILITATOR_URL`` may name another one.
        request_timeout: seconds within which the facilitator must answer.
        push: whether to let the facilitator tell what happens to jobs; otherwise, and where it
            does not, it is asked again and again.
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
        request_timeout: float = ANSWER_SECONDS,
        push: bool = True,
        clock: Clock | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        if not isinstance(compute_horde_validator_hotkey, str):
            raise ComputeHordeValidationError(
                "compute_horde_validator_hotkey", "must be the ss58 address of a hotkey, as str"
            )
        if facilitator_url == DEFAULT_FACILITATOR_URL:
            facilitator_url = os.environ.get(FACILITATOR_URL_VARIABLE) or facilitator_url
        self._signer = HotkeySigner(hotkey)
        time = clock if clock is not None else SystemClock()
        facilitator = Facilitator(
            facilitator_url, self._signer, time, transport, request_timeout=request_timeout
        )
        super().__init__(facilitator, time, push=push)
        self.hotkey = self._signer.key
        self.compute_horde_validator_hotkey = compute_horde_validator_hotkey
        self.job_queue = job_queue
        self.facilitator_url = facilitator_url
        self.streaming_public_cert: x509.Certificate | None = None
        self.streaming_private_key: rsa.RSAPrivateKey | None = None

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

    async def close(self) -> None:
        """The same as `aclose`."""
        await self.aclose()

    async def authenticate(self) -> None:
        """Logs in now; otherwise that happens before the first request.

        Raises:
            ComputeHordeError: the facilitator does not let this hotkey in.
        """
        await self._facilitator.login()

    @overload
    async def create_job(
        self,
        job_spec: ComputeHordeJobSpec,
        on_trusted_miner: bool = False,
        *,
        run_cross_validation: bool = False,
        trusted_output_volumes: Mapping[str, OutputVolume] | None = None,
    ) -> ComputeHordeJob: ...

    @overload
    async def create_job(
        self,
        *,
        on_trusted_miner: bool = False,
        run_cross_validation: bool = False,
        trusted_output_volumes: Mapping[str, OutputVolume] | None = None,
        **fields: Unpack[ComputeHordeJobFields],
    ) -> ComputeHordeJob: ...

    async def create_job(
        self,
        job_spec: ComputeHordeJobSpec | None = None,
        on_trusted_miner: bool = False,
        *,
        run_cross_validation: bool = False,
        trusted_output_volumes: Mapping[str, OutputVolume] | None = None,
        **fields: object,
    ) -> ComputeHordeJob:
        """Sends a job, and returns as soon as the facilitator has it.

        A request that is repeated because its answer got lost makes no second job.

        Args:
            job_spec: what to run.
            on_trusted_miner: run it on the validator's own trusted miner, to compare results.
            run_cross_validation: run it there too; that is ``trusted_job`` of what is returned.
            trusted_output_volumes: where that one's output files are sent; nowhere if ``None``.
            fields: instead of ``job_spec``, the fields of one.

        Raises:
            ComputeHordeValidationError: the spec cannot work; nothing was sent.
            ComputeHordeAPIError: the facilitator refused the job.
            ComputeHordeError: the facilitator cannot be reached.
        """
        spec = wanted_spec(job_spec, fields)
        creation = Creation(
            self._facilitator,
            self._signer,
            self.clock,
            self.compute_horde_validator_hotkey,
            self._job,
        )
        if run_cross_validation and on_trusted_miner:
            raise ComputeHordeValidationError(
                "run_cross_validation", "cannot check a job that runs on the trusted miner itself"
            )
        if trusted_output_volumes is not None and not run_cross_validation:
            raise ComputeHordeValidationError(
                "trusted_output_volumes", "is for jobs with run_cross_validation=True"
            )
        if run_cross_validation:
            job = await creation.both(spec, trusted_output_volumes)
        else:
            job = await creation.one(spec, on_trusted_miner=bool(on_trusted_miner))
        if job.streaming_public_cert is not None:
            self.streaming_public_cert = job.streaming_public_cert
            self.streaming_private_key = job.streaming_private_key
        return job

    async def run_until_complete(
        self,
        job_spec: ComputeHordeJobSpec,
        on_trusted_miner: bool = False,
        job_attempt_callback: JobAttemptCallback | None = None,
        timeout: float | None = None,
        max_attempts: int = DEFAULT_ATTEMPTS,
        *,
        status_callback: JobStatusCallback | None = None,
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
            status_callback: as of `ComputeHordeJob.wait`, for each of the jobs.

        Raises:
            ComputeHordeJobTimeoutError: the time is over before an attempt has ended.
            ComputeHordeError: as `create_job`.
        """

        async def create() -> ComputeHordeJob:
            return await self.create_job(job_spec, on_trusted_miner)

        attempts = Attempts(create, self.clock, timeout)
        return await attempts.run(max_attempts, job_attempt_callback, status_callback)

    async def cross_validate(
        self,
        job_spec: ComputeHordeJobSpec,
        *,
        sample: float | AdaptiveSampling = DEFAULT_RATE,
        compare: Comparator | None = None,
        trusted_output_volumes: Mapping[str, OutputVolume] | None = None,
        report: bool = True,
        timeout: float | None = None,
        job_attempt_callback: JobAttemptCallback | None = None,
    ) -> CrossValidation[ComputeHordeJob]:
        """Runs a job as `run_until_complete` does, and sometimes a copy of it on the trusted miner
        at the same time; compares both, and reports the miner if they differ.

        Only for jobs that give the same whenever and wherever they run: others accuse honest
        miners. Nothing tells the miner which jobs are checked. If the job does not end well, its
        copy is cancelled.

        Args:
            job_spec: what to run; streaming jobs cannot be checked.
            sample: share of the jobs to check, from 0 (none) to 1 (all), drawn at random; or an
                `AdaptiveSampling`.
            compare: whether two results are the same; by default `exact` of stdout and artifacts.
            trusted_output_volumes: where the copy's output files are sent; nowhere if ``None``.
            report: whether to report a mismatch. A report that is refused is no error.
            timeout: seconds for each of the two, as of `run_until_complete`.
            job_attempt_callback: likewise, for the job itself.

        Raises:
            ComputeHordeValidationError: an argument cannot work; nothing was sent.
            ComputeHordeError: as `run_until_complete`.
        """
        check = Check(
            sample,
            comparator(compare),
            trusted_output_volumes,
            report,
            timeout,
            job_attempt_callback,
        )
        return await check.run(self, job_spec)

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
        content, payload = cheat_report(
            job_name("job_uuid", job_uuid),
            job_name("trusted_job_uuid", trusted_job_uuid),
            details,
        )
        signature = signatures.signed(
            payload, self._signer, timestamp_ns=nanoseconds(self.clock.now()), scope="FullRequest"
        )
        headers = rest.signature_headers(signature)
        return (await self._facilitator.post("/cheated-job/", content, headers)).text

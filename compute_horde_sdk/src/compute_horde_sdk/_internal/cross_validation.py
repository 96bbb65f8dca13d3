"""A job, sometimes run a second time on the trusted miner, to see whether the first one was honest.

Both copies are sent at once, so a check costs no time; nothing in the ordinary one tells that there
is a second.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from compute_horde_sdk._internal.attempts import JobAttemptCallback
from compute_horde_sdk._internal.comparing import Comparator, Difference, difference_between, shown
from compute_horde_sdk._internal.creating import checked_copy
from compute_horde_sdk._internal.errors import (
    ComputeHordeError,
    ComputeHordeJobTimeoutError,
    ComputeHordeValidationError,
)
from compute_horde_sdk._internal.job import ComputeHordeJob
from compute_horde_sdk._internal.results import ComputeHordeJobResult
from compute_horde_sdk._internal.sampling import AdaptiveSampling, Verdict, is_drawn, rate_of
from compute_horde_sdk._internal.spec import ComputeHordeJobSpec
from compute_horde_sdk._internal.volumes import OutputVolume

MOST_DIGESTS = 32

J = TypeVar("J")


class Client(Protocol):
    """What is needed of the client that runs both jobs."""

    compute_horde_validator_hotkey: str

    async def run_until_complete(
        self,
        job_spec: ComputeHordeJobSpec,
        on_trusted_miner: bool = ...,
        job_attempt_callback: JobAttemptCallback | None = ...,
        timeout: float | None = ...,
    ) -> ComputeHordeJob:
        """Runs a job and waits for its end."""
        ...

    async def report_cheated_job(
        self,
        job_uuid: str,
        trusted_job_uuid: str,
        *,
        details: Any = ...,  # noqa: ANN401 - any JSON
    ) -> str:
        """Says that a miner cheated."""
        ...


@dataclass(frozen=True)
class CrossValidation(Generic[J]):
    """What became of a job, and of the check on it.

    Attributes:
        job: the ordinary job, ended.
        verdict: what the check came to.
        trusted_job: its copy on the trusted miner; ``None`` if there was none.
        difference: where the results differ, for a mismatch.
        reason: why there is no verdict, for `UNDECIDED`.
        evidence: what was, or could be, reported, for a mismatch: JSON.
        report: the facilitator's answer to the report; ``None`` if there was none.
        report_error: why the report was not taken; ``None`` if it was, or there was none.
    """

    job: J
    verdict: Verdict
    trusted_job: J | None = None
    difference: Difference | None = None
    reason: str | None = None
    evidence: dict[str, object] | None = None
    report: str | None = None
    report_error: ComputeHordeError | None = None

    @property
    def sampled(self) -> bool:
        """Whether the job was checked."""
        return self.verdict is not Verdict.NOT_SAMPLED


@dataclass(frozen=True)
class Check:
    """How a job is to be checked."""

    sample: float | AdaptiveSampling
    compare: Comparator
    trusted_output_volumes: Mapping[str, OutputVolume] | None
    report: bool
    timeout: float | None
    job_attempt_callback: JobAttemptCallback | None

    async def run(
        self, client: Client, job_spec: ComputeHordeJobSpec
    ) -> CrossValidation[ComputeHordeJob]:
        """Runs a job, and with the sampled probability its copy; compares and reports.

        Raises:
            ComputeHordeError: as `ComputeHordeClient.run_until_complete`.
        """
        rate = rate_of(self.sample)
        if job_spec.streaming:
            raise ComputeHordeValidationError(
                "streaming",
                "a streaming job cannot be cross-validated: its author talks to one of the two",
            )
        # Checked in any case: what is wrong with it should not wait for a draw to be found.
        copied = checked_copy(
            job_spec, self.trusted_output_volumes, client.compute_horde_validator_hotkey
        )
        if not is_drawn(rate):
            job = await client.run_until_complete(
                job_spec, job_attempt_callback=self.job_attempt_callback, timeout=self.timeout
            )
            return CrossValidation(job, Verdict.NOT_SAMPLED)
        found = await self._of_both(client, job_spec, copied)
        if isinstance(self.sample, AdaptiveSampling):
            self.sample.learn(found.verdict)
        return found

    async def _of_both(
        self,
        client: Client,
        job_spec: ComputeHordeJobSpec,
        copied: ComputeHordeJobSpec,
    ) -> CrossValidation[ComputeHordeJob]:
        copy = _Copy(client, copied, self.timeout)
        job, trusted = await asyncio.gather(
            self._ordinary(client, job_spec, copy), copy.run(), return_exceptions=True
        )
        if isinstance(job, BaseException):
            raise job
        found = CrossValidation(job, Verdict.UNDECIDED, copy.job)
        try:
            result, expected = _result("job", job), _result("trusted copy", trusted)
        except ComputeHordeError as error:
            return replace(found, reason=str(error))
        try:
            difference = await difference_between(self.compare, result, expected)
        except Exception as error:  # noqa: BLE001
            # A user's comparator may raise anything, and none of it proves that a miner cheated.
            return replace(found, reason=f"the comparator failed: {type(error).__name__}: {error}")
        if difference is None:
            return replace(found, verdict=Verdict.MATCH)
        return await self._reported(client, _accusing(found, difference))

    async def _ordinary(
        self, client: Client, job_spec: ComputeHordeJobSpec, copy: "_Copy"
    ) -> ComputeHordeJob:
        is_well = False
        try:
            job = await client.run_until_complete(
                job_spec, job_attempt_callback=self.job_attempt_callback, timeout=self.timeout
            )
            is_well = job.status.is_successful()
        finally:
            if not is_well:
                await copy.give_up()
        return job

    async def _reported(
        self, client: Client, found: CrossValidation[ComputeHordeJob]
    ) -> CrossValidation[ComputeHordeJob]:
        if not self.report or found.trusted_job is None:
            return found
        try:
            said = await client.report_cheated_job(
                found.job.uuid, found.trusted_job.uuid, details=found.evidence
            )
        except ComputeHordeError as error:
            return replace(found, report_error=error)
        return replace(found, report=said)


@dataclass
class _Copy:
    """The copy for the trusted miner. It is only worth its price while the job may succeed."""

    client: Client
    job_spec: ComputeHordeJobSpec
    timeout: float | None
    job: ComputeHordeJob | None = None
    is_unwanted: bool = False

    async def run(self) -> ComputeHordeJob:
        """The copy, ended.

        Raises:
            ComputeHordeError: as `ComputeHordeClient.run_until_complete`.
        """
        try:
            return await self.client.run_until_complete(
                self.job_spec,
                on_trusted_miner=True,
                job_attempt_callback=self._created,
                timeout=self.timeout,
            )
        except ComputeHordeJobTimeoutError:
            await self.give_up()
            raise

    async def give_up(self) -> None:
        """Ends it: what it would tell is not wanted any more."""
        self.is_unwanted = True
        if self.job is not None:
            with contextlib.suppress(ComputeHordeError):
                await self.job.cancel()

    async def _created(self, job: ComputeHordeJob) -> None:
        self.job = job
        if self.is_unwanted:
            await self.give_up()


def _result(what: str, outcome: ComputeHordeJob | BaseException) -> ComputeHordeJobResult:
    """What a job left behind.

    Raises:
        ComputeHordeError: it did not end well, which the error says.
    """
    if isinstance(outcome, ComputeHordeError):
        raise ComputeHordeError(f"the {what} has no result: {outcome}") from outcome
    if isinstance(outcome, BaseException):
        raise outcome
    if not outcome.status.is_successful():
        why = outcome.error or "no reason given"
        raise ComputeHordeError(f"the {what} is {outcome.status.value}: {why}")
    if outcome.result is None:
        raise ComputeHordeError(f"the {what} left no result behind")
    return outcome.result


def _accusing(
    found: CrossValidation[ComputeHordeJob], difference: Difference
) -> CrossValidation[ComputeHordeJob]:
    trusted = found.trusted_job
    evidence: dict[str, object] = {
        "reason": "result_mismatch",
        "job_uuid": found.job.uuid,
        "trusted_job_uuid": trusted.uuid if trusted else None,
        "difference": asdict(difference),
        "actual": _digests(found.job.result),
        "expected": _digests(trusted.result if trusted else None),
    }
    return replace(found, verdict=Verdict.MISMATCH, difference=difference, evidence=evidence)


def _digests(result: ComputeHordeJobResult | None) -> dict[str, str]:
    """SHA-256 of what a job left behind, by place."""
    if result is None:
        return {}
    parts = {"stdout": result.stdout.encode(errors="replace")}
    parts |= {
        shown(path): result.artifacts[path] for path in sorted(result.artifacts)[:MOST_DIGESTS]
    }
    return {place: hashlib.sha256(content).hexdigest() for place, content in parts.items()}

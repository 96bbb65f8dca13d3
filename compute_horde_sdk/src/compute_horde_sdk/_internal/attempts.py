"""Running a job again where that may help."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from compute_horde_common.clock import Clock
from compute_horde_sdk._internal.errors import (
    ComputeHordeJobTimeoutError,
    ComputeHordeValidationError,
)
from compute_horde_sdk._internal.job import ComputeHordeJob, JobStatusCallback, call
from compute_horde_sdk._internal.results import ComputeHordeJobStatus
from compute_horde_sdk._internal.time_limit import TimeLimit

DEFAULT_ATTEMPTS = 3
FIRST_RETRY_SECONDS = 0.2
LONGEST_RETRY_SECONDS = 5.0

_HOPELESS_REJECTIONS = {"invalid_signature", "validator_blacklisted", "invalid_receipt"}

JobAttemptCallback = Callable[[ComputeHordeJob], object]
"""Takes the job of an attempt; what it returns is awaited if it can be."""


class Attempts:
    """Jobs that are created one after another until one has ended for good, or time is over."""

    def __init__(
        self, create: Callable[[], Awaitable[ComputeHordeJob]], clock: Clock, seconds: float | None
    ) -> None:
        self._create = create
        self._clock = clock
        self._seconds = seconds
        self._limit = TimeLimit(seconds, clock)

    async def run(
        self,
        max_attempts: int,
        job_attempt_callback: JobAttemptCallback | None,
        status_callback: JobStatusCallback | None,
    ) -> ComputeHordeJob:
        """The last of the jobs.

        Raises:
            ComputeHordeJobTimeoutError: the time is over before it has ended.
            ComputeHordeError: a job cannot be created, or not be asked for.
        """
        # Anything else is never reached, and each attempt costs.
        if not isinstance(max_attempts, int):
            raise ComputeHordeValidationError(
                "max_attempts", "must be a whole number; 0 or less is without limit"
            )
        attempt = 1
        while True:
            job = await self._created()
            await call(job_attempt_callback, job)
            await self._wait_for(job, status_callback)
            pause = _pause_after(attempt)
            is_last = 0 < max_attempts <= attempt or pause >= self._limit.left
            if is_last or not _may_succeed_again(job):
                return job
            await self._clock.sleep_until(self._clock.now() + timedelta(seconds=pause))
            attempt += 1

    async def _created(self) -> ComputeHordeJob:
        late = f"Job could not be created, so it did not complete within {self._seconds} seconds"
        if self._limit.left <= 0:
            raise ComputeHordeJobTimeoutError(late)
        try:
            async with self._limit.leaving_at_least(0.0):
                return await self._create()
        except asyncio.TimeoutError as error:
            raise ComputeHordeJobTimeoutError(late) from error

    async def _wait_for(self, job: ComputeHordeJob, callback: JobStatusCallback | None) -> None:
        try:
            await job.wait(timeout=self._limit.left, status_callback=callback)
        except ComputeHordeJobTimeoutError as error:
            raise ComputeHordeJobTimeoutError(
                f"Job {job.uuid} did not complete within {self._seconds} seconds",
                job_uuid=job.uuid,
            ) from error


def _may_succeed_again(job: ComputeHordeJob) -> bool:
    if job.status is ComputeHordeJobStatus.REJECTED:
        return job.error is None or job.error.reason not in _HOPELESS_REJECTIONS
    return job.status is ComputeHordeJobStatus.HORDE_FAILED


def _pause_after(attempt: int) -> float:
    return min(FIRST_RETRY_SECONDS * 2.0 ** min(attempt - 1, 16), LONGEST_RETRY_SECONDS)

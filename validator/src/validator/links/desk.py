"""The desk of a real job: what its conversation says and learns, signed and stored."""

import asyncio

from typing_extensions import override

from compute_horde_common.clock import Clock
from compute_horde_common.contrib.django.db import in_database
from compute_horde_common.jobs.failures import Failure
from compute_horde_common.jobs.lifecycle import JobStatus
from compute_horde_common.protocol.facilitator_validator import StatusMetadata
from compute_horde_common.protocol.live import JobLog, JobProgress
from compute_horde_common.protocol.validator_miner import (
    AcceptedReceipt,
    Authenticate,
    FinishedReceipt,
    Manifest,
    StartJob,
)
from validator.domain.assignments import Assignment
from validator.domain.phases import BEFORE_EXECUTION, Phase, Progress
from validator.links.miner import JobDesk
from validator.links.newsroom import Newsroom
from validator.links.office import Office
from validator.services import attempts, receipts, subnet


class StoredDesk(JobDesk):
    """Stores in the database, in one transaction for each call.

    Args:
        job: on its miner.
        office: who we are.
        newsroom: gets what the job writes while it runs.
        cancelled: set once the author of the job has cancelled it.
    """

    def __init__(
        self, job: Assignment, office: Office, newsroom: Newsroom, cancelled: asyncio.Event
    ) -> None:
        self._job = job
        self._office = office
        self._newsroom = newsroom
        self._cancelled = cancelled
        self._acceptance: AcceptedReceipt | None = None
        self.phase: Phase | None = job.progress.phase if job.progress else None
        """Where the job is on this miner, once that has accepted it."""

    @property
    def executing(self) -> bool:
        """Whether the job has started on this miner, and must not start on another one."""
        return self.phase is not None and self.phase not in BEFORE_EXECUTION

    @property
    @override
    def clock(self) -> Clock:
        return self._office.clock

    @property
    @override
    def cancelled(self) -> asyncio.Event:
        return self._cancelled

    @override
    def authenticate(self) -> Authenticate:
        return self._office.authentication(self._job.miner_hotkey)

    @override
    def accepted(self) -> AcceptedReceipt:
        receipt = receipts.accepted(self._job, self._office.signer, self.clock.now())
        self._acceptance = receipt
        return receipt

    @override
    def sign(self, start: StartJob) -> StartJob:
        return attempts.signed_start(start, self._office.signer)

    @override
    async def saw(self, manifest: Manifest) -> None:
        if self._job.on_trusted_miner or manifest.manifest == self._job.counts:
            return
        store = in_database(subnet.store_manifest)
        await store(self._job.miner_hotkey, manifest.manifest, self.clock.now())

    @override
    def relay(self, news: JobLog | JobProgress) -> None:
        self._newsroom.hear(news)

    @override
    async def record(
        self, status: JobStatus, progress: Progress, metadata: StatusMetadata | None = None
    ) -> None:
        receipt, self._acceptance = self._acceptance, None
        await in_database(attempts.record)(
            self._job, status, progress, self.clock.now(), metadata=metadata, receipt=receipt
        )
        self.phase = progress.phase

    @override
    async def complete(self, result: StatusMetadata) -> FinishedReceipt:
        complete = in_database(attempts.complete)
        return await complete(self._job, result, self._office.signer, self.clock.now())

    @override
    async def give_up(self, failure: Failure) -> FinishedReceipt:
        give_up = in_database(attempts.give_up)
        return await give_up(self._job, failure, self._office.signer, self.clock.now())

    @override
    async def said_farewell(self) -> None:
        await in_database(attempts.said_farewell)(self._job.attempt)

    @override
    async def abandon(self, failure: Failure) -> None:
        await in_database(attempts.abandon)(self._job, failure, self.clock.now())

"""A validator and a miner, linked: real ends, real rows."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from typing_extensions import override

from compute_horde_common.chain.interface import Address, Metagraph, Neuron
from compute_horde_common.chain.keys import verify
from compute_horde_common.clock import Clock
from compute_horde_common.contrib.django.models import StoredReceipt
from compute_horde_common.links.link import Link, Pipe
from compute_horde_common.protocol.facilitator_validator import JobRequest
from compute_horde_common.protocol.validator_miner import AcceptJob, Manifest
from miner.links.validator import ValidatorConversation
from miner.models import Job as MinersJob
from miner.services import subnet as miners_subnet
from tests.conversations.executors import make_slots
from tests.conversations.people import (
    CLASS,
    MINER,
    VALIDATOR,
    a_spec,
    office_of,
    signature_of,
)
from tests.conversations.sides import PATIENCE, Side, as_side, at, until
from tests.conversations.wires import Damage, Line
from validator.domain.assignments import Assignment, JobCase, Terms
from validator.domain.phases import Phase
from validator.links.desk import StoredDesk
from validator.links.dialling import MINER_CODEC, MinerDialler, complaint, concerns
from validator.links.miner import MinerLink, run_job
from validator.links.newsroom import Newsroom
from validator.models import Attempt, Job, StatusChange
from validator.services import attempts, jobs, subnet

TERMS = Terms(reservation=7, startup=10, routing=10, allow_private=True, trusted_miner=None)
STREAMING = {"public_key": "pem"}


class Offers:
    """What the miner says of itself."""

    def manifest(self) -> Mapping[str, int]:
        """More than it has, so that it can be busy."""
        return {CLASS: 2}

    def main_hotkey(self) -> str | None:
        """Its own."""
        return MINER.ss58


@dataclass(frozen=True)
class Stored:
    """A receipt as one side has it."""

    payload: str
    validator_signature: str
    miner_signature: str | None


class Subnet:
    """A line between a validator and a miner with one slot.

    Args:
        clock: of both.
        damages: of the first sockets.
    """

    def __init__(self, clock: Clock, *damages: Damage) -> None:
        self.clock = clock
        self.office = office_of(VALIDATOR, clock)
        self.line = Line(Side.MINER, self._answer, *damages)

    async def ready(self) -> "Subnet":
        """Both know each other, and the miner has its slot."""
        await at(Side.MINER, miners_subnet.let_in)(VALIDATOR.ss58)
        await at(Side.MINER, make_slots)(1)
        await at(Side.VALIDATOR, self._find_miner)()
        return self

    def _find_miner(self) -> None:
        now = self.clock.now()
        neuron = Neuron(0, MINER.ss58, "cold", 0.0, Address("192.0.2.1", 80), False, 0)
        subnet.store_metagraph(Metagraph(12, 1, "0x", (neuron,)), now)
        subnet.store_manifest(MINER.ss58, Offers().manifest(), now)

    async def _answer(self, pipe: Pipe) -> None:
        conversation = ValidatorConversation(
            pipe, VALIDATOR.ss58, uuid4().hex, Offers(), self.clock
        )
        await conversation.hold()

    async def assigned(self, *, ago: float = 0, **changes: object) -> Assignment:
        """A job that the validator took and chose this miner for, so many seconds ago."""
        spec = a_spec(**changes)
        signature = signature_of(spec, VALIDATOR, self.clock)
        request = JobRequest.of(str(uuid4()), spec, signature, None)
        return await at(Side.VALIDATOR, self._assign)(request, ago)

    def _assign(self, request: JobRequest, ago: float) -> Assignment:
        then = self.clock.now() - timedelta(seconds=ago)
        case = jobs.take(request, own=VALIDATOR.ss58, verify=verify, at=then)
        assert isinstance(case, JobCase)
        job = attempts.assign(case, TERMS, VALIDATOR, then)
        assert isinstance(job, Assignment)
        return job

    async def run(self, job: Assignment) -> None:
        """The validator's part of the conversation; errors as of `run_job`."""
        desk = StoredDesk(job, self.office, Newsroom(self.clock), asyncio.Event())
        await as_side(Side.VALIDATOR, run_job(job, self._dialler(job), desk))

    async def run_until_accepted(self, job: Assignment) -> None:
        """The validator's process ends once the miner has taken the job."""
        running = asyncio.create_task(self.run(job))
        await until(Side.VALIDATOR, lambda: reached(job, Phase.READINESS))
        running.cancel()
        await asyncio.wait({running})

    async def answered(self) -> None:
        """Returns once the miner has answered the first offer, whether that was heard or not."""
        wire = await self.line.opened()
        async with asyncio.timeout(PATIENCE):
            while len(wire.answered) < len((Manifest, AcceptJob)):  # noqa: ASYNC110 - a list
                await asyncio.sleep(0)

    def _dialler(self, job: Assignment) -> "_Dialler":
        return _Dialler(self.line, job.case.uuid, self.clock)


@dataclass(frozen=True, slots=True)
class LineDialler(MinerDialler):
    """Dials every miner on one line."""

    line: Line

    @asynccontextmanager
    @override
    async def link(self, host: str, port: int, within: float) -> AsyncIterator[MinerLink]:
        async with self.line.dial() as pipe:
            yield Link(pipe, MINER_CODEC, clock=self.clock, complain=complaint)


@dataclass(frozen=True)
class _Dialler:
    line: Line
    job_uuid: str
    clock: Clock

    @asynccontextmanager
    async def __call__(self, _within: float) -> AsyncIterator[MinerLink]:
        async with self.line.dial() as pipe:
            yield Link(
                pipe,
                MINER_CODEC,
                clock=self.clock,
                complain=complaint,
                relevant=lambda message: concerns(message, self.job_uuid),
            )


async def attempt_of(job: Assignment) -> Attempt:
    """What the validator has about a job on its miner."""
    return await at(Side.VALIDATOR, Attempt.objects.get)(pk=job.attempt)


async def miners_job(job: Assignment) -> MinersJob:
    """What the miner has about a job."""
    return await at(Side.MINER, MinersJob.objects.get)(job_uuid=job.case.uuid)


async def statuses(job: Assignment) -> list[str]:
    """Where a job has been, as its validator has it."""

    def read() -> list[str]:
        changes = StatusChange.objects.filter(job_id=job.case.uuid).order_by("id")
        return list(changes.values_list("status", flat=True))

    return await at(Side.VALIDATOR, read)()


async def result(job: Assignment) -> str:
    """What there is to say about a job's end, JSON."""

    def read() -> str:
        end = Job.objects.get(uuid=job.case.uuid)
        return StatusChange.objects.get(job=end, status=end.status).metadata

    return await at(Side.VALIDATOR, read)()


async def receipts(side: Side, job: Assignment) -> dict[str, Stored]:
    """A job's receipts on one side, by type."""

    def read() -> dict[str, Stored]:
        return {
            row.receipt_type: Stored(row.payload, row.validator_signature, row.miner_signature)
            for row in StoredReceipt.objects.filter(job_uuid=job.case.uuid)
        }

    return await at(side, read)()


def reached(job: Assignment, phase: Phase) -> bool:
    """Whether a job waits in a phase, as its validator has it."""
    return Attempt.objects.filter(pk=job.attempt, phase=phase.value).exists()

"""A facilitator and a validator, linked: real ends, real rows; jobs run at once and go well."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from typing_extensions import override

from compute_horde_common.chain.keys import Hotkey, ss58_from_public_key, verify
from compute_horde_common.clock import Clock
from compute_horde_common.contrib.django import outbox
from compute_horde_common.jobs.lifecycle import JobStatus
from compute_horde_common.links.link import Link, Pipe
from compute_horde_common.protocol.facilitator_validator import MinerResponse, StatusMetadata
from facilitator.domain.submissions import Submission
from facilitator.links.validator import CODEC, Terms, ValidatorLink, Visitor, hold
from facilitator.models import Job, StatusChange
from facilitator.services import fleet, jobs
from tests.conversations.people import USER, VALIDATOR, a_spec, office_of, signature_of
from tests.conversations.sides import PATIENCE, Side, as_side, at, until
from tests.conversations.wires import Damage, HastyClock, Line
from validator.domain.assignments import JobCase
from validator.links.dialling import FACILITATOR_CODEC, FacilitatorLink
from validator.links.dispatch import Dispatcher
from validator.links.facilitator import Post, stay_connected
from validator.links.newsroom import Newsroom
from validator.models import StatusChange as ValidatorsStatusChange
from validator.services import jobs as validators_jobs
from validator.services import subnet

GOOD_RUN = [
    JobStatus.ACCEPTED,
    JobStatus.EXECUTOR_READY,
    JobStatus.VOLUMES_READY,
    JobStatus.EXECUTION_DONE,
    JobStatus.COMPLETED,
]
HISTORY = [JobStatus.SENT, JobStatus.RECEIVED, *GOOD_RUN]
RESULT = StatusMetadata(
    miner_response=MinerResponse(docker_process_stdout="ż\0", docker_process_stderr="")
)


class QuickDispatcher(Dispatcher):
    """Plays the miners: every job is completed as fast as rows can be written."""

    def __init__(self, group: asyncio.TaskGroup, clock: Clock) -> None:
        self._tasks = group
        self._clock = clock
        self.started: list[str] = []

    @override
    def start(self, job_uuid: str, case: JobCase | None = None) -> None:
        self.started.append(job_uuid)
        self._tasks.create_task(self._complete(job_uuid))

    async def _complete(self, job_uuid: str) -> None:
        move = at(Side.VALIDATOR, validators_jobs.move)
        for status in GOOD_RUN:
            result = RESULT if status is JobStatus.COMPLETED else None
            await move(job_uuid, status, self._clock.now(), result)


class Facilitation:
    """A line between the two.

    Args:
        damages: of the first sockets.
        challenge: whether the facilitator challenges the validator.
        allow_static: whether the operators of the facilitator, and of the validator, allow the
            form of authentication that can be replayed.
        validator: who dials.
    """

    def __init__(
        self,
        *damages: Damage,
        challenge: bool = True,
        allow_static: tuple[bool, bool] = (False, False),
        validator: Hotkey = VALIDATOR,
    ) -> None:
        self.clock = HastyClock()
        self.line = Line(Side.FACILITATOR, self._answer, *damages)
        self.dispatched: list[str] = []
        self._challenge = challenge
        self._facilitator_allows, self._validator_allows = allow_static
        self._validator = validator

    async def _answer(self, pipe: Pipe) -> None:
        terms = Terms(self.clock, verify, ss58_from_public_key, self._facilitator_allows)
        link: ValidatorLink = Link(pipe, CODEC, clock=self.clock)
        await hold(link, Visitor("1", "2", self._challenge), terms)

    @asynccontextmanager
    async def _dial(self) -> AsyncIterator[tuple[FacilitatorLink, bool]]:
        async with self.line.dial() as pipe:
            yield Link(pipe, FACILITATOR_CODEC, clock=self.clock), self._challenge

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """The validator dials for as long as the block lasts."""
        dialling = as_side(Side.VALIDATOR, self._stay_connected())
        try:
            yield
        finally:
            dialling.cancel()
            with suppress(asyncio.CancelledError):
                await dialling

    async def converse(self) -> None:
        """One socket only, until it closes; errors are those of the validator's end."""
        await asyncio.wait_for(as_side(Side.VALIDATOR, self._once()), PATIENCE)

    async def _stay_connected(self) -> None:
        async with asyncio.TaskGroup() as group:
            await stay_connected(self._dial, self._post(group))

    async def _once(self) -> None:
        async with asyncio.TaskGroup() as group, self._dial() as (link, challenges):
            await self._post(group).converse(link, challenges=challenges)

    def _post(self, group: asyncio.TaskGroup) -> Post:
        dispatcher = QuickDispatcher(group, self.clock)
        self.dispatched = dispatcher.started
        office = office_of(self._validator, self.clock)
        newsroom = Newsroom(self.clock)
        return Post(office, dispatcher, newsroom, allow_static=self._validator_allows)

    async def let_in(self) -> None:
        """Returns once the facilitator counts the validator as connected."""
        who = self._validator.ss58
        await until(Side.FACILITATOR, lambda: fleet.is_connected(who, self.clock.now()))

    async def submit(self, *, signer: Hotkey = USER, **changes: object) -> str:
        """A job for the usual validator from its usual user, whose hotkey that validator allows."""
        await at(Side.VALIDATOR, subnet.allow)(USER.ss58)
        spec = a_spec(**changes)
        signature = signature_of(spec, signer, self.clock)
        wanted = Submission(signer.ss58, VALIDATOR.ss58, spec, signature)
        return await at(Side.FACILITATOR, self._submit)(wanted)

    def _submit(self, wanted: Submission) -> str:
        # A socket that is there for a moment: jobs are taken only for connected validators.
        now = self.clock.now()
        fleet.allow(VALIDATOR.ss58)
        number = fleet.connect(VALIDATOR.ss58, "1", "2", now)
        job = jobs.submit(wanted, answer_limit=60.0, at=now)
        fleet.disconnect(number, VALIDATOR.ss58, [])
        return str(job.uuid)

    async def settled(self, job_uuid: str) -> None:
        """Returns once a job has ended, and neither end has anything left to say about it."""
        await until(Side.FACILITATOR, lambda: Job.objects.get(uuid=job_uuid).deadline is None)
        await until(Side.VALIDATOR, lambda: not outbox.pending(validators_jobs.FACILITATOR))
        mailbox = fleet.mailbox_of(VALIDATOR.ss58)
        await until(Side.FACILITATOR, lambda: not outbox.pending(mailbox))


async def history(job_uuid: str) -> list[str]:
    """The statuses of a job, as the facilitator has them."""
    return await at(Side.FACILITATOR, _statuses)(StatusChange, job_uuid)


async def validators_history(job_uuid: str) -> list[str]:
    """The statuses of a job, as its validator has them."""
    return await at(Side.VALIDATOR, _statuses)(ValidatorsStatusChange, job_uuid)


def _statuses(
    changes: type[StatusChange] | type[ValidatorsStatusChange], job_uuid: str
) -> list[str]:
    found = changes.objects.filter(job_id=job_uuid).order_by("id")
    return list(found.values_list("status", flat=True))

"""The miner's side of its conversation with a validator.

A socket speaks for the jobs that were offered on it. What is said about a job comes from its
messages' rows, so a job goes on without a socket, and another socket can take it over.
"""

import asyncio
import uuid
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

import structlog
from typing_extensions import override

from compute_horde_common.clock import Clock
from compute_horde_common.contrib.django.conversation import ConsumerPipe
from compute_horde_common.contrib.django.db import in_database
from compute_horde_common.contrib.django.mailbox import listening
from compute_horde_common.links.link import NORMAL, Link, LinkClosed, LinkTimeout, Pipe
from compute_horde_common.protocol.base import Codec
from compute_horde_common.protocol.live import JOB_CONTROL, CancelJob
from compute_horde_common.protocol.validator_miner import (
    AcceptedReceipt,
    Authenticate,
    DeclineJob,
    FinishedReceipt,
    GenericError,
    MainHotkey,
    Manifest,
    MinerToValidator,
    OfferJob,
    StartJob,
    UnauthorizedError,
    ValidatorToMiner,
)
from compute_horde_common.telemetry import metrics
from compute_horde_common.telemetry.logs import bind
from miner.domain.admission import Refusal
from miner.services import hosts, jobs, messages, subnet
from miner.services.jobs import Attached
from miner.services.topics import job_topic, validator_topic

log = structlog.get_logger(__name__)

AUTH_LIMIT_SECONDS: Final = 10.0
"""How long a validator may take to say who it is."""
LOOK_SECONDS: Final = 10.0
"""How long a lost wake-up can delay a message."""
MAX_JOBS: Final = 64
"""Jobs on one socket."""

_CODEC: Codec[ValidatorToMiner] = Codec(ValidatorToMiner)


class Offers(Protocol):
    """What a miner says of itself after authentication."""

    def manifest(self) -> Mapping[str, int]:
        """How many executors of each class it offers while it serves, where their hosts are fit."""
        ...

    def main_hotkey(self) -> str | None:
        """Its coldkey's main hotkey."""
        ...


async def converse_with_validator(pipe: ConsumerPipe, offers: Offers, clock: Clock) -> None:
    """One validator's socket, to its end."""
    hotkey = str(pipe.scope.kwargs["hotkey"])
    socket = uuid.uuid4().hex
    with (
        bind(validator=hotkey[:64]),
        metrics.LINKS_OPEN.labels("miner", "validator").track_inprogress(),
    ):
        await ValidatorConversation(
            pipe, hotkey, socket, offers, clock, job_control=pipe.scope.subprotocol == JOB_CONTROL
        ).hold()


class _Hearing(Pipe):
    """A pipe that keeps the frame it received last: signatures cover the text as it came."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self.text = ""

    @override
    async def send_text(self, text: str) -> None:
        await self._pipe.send_text(text)

    @override
    async def receive_text(self) -> str:
        self.text = await self._pipe.receive_text()
        return self.text

    @override
    async def close(self, code: int = NORMAL, reason: str = "") -> None:
        await self._pipe.close(code, reason)


class ValidatorConversation:
    """One socket of one validator.

    Args:
        pipe: the socket.
        validator: the hotkey that it claims to be.
        socket: our name for it.
        offers: what we say of ourselves.
        clock: the time.
        job_control: whether the two ends chose `JOB_CONTROL`.
    """

    def __init__(
        self,
        pipe: Pipe,
        validator: str,
        socket: str,
        offers: Offers,
        clock: Clock,
        *,
        job_control: bool = False,
    ) -> None:
        self._pipe = _Hearing(pipe)
        self._link: Link[ValidatorToMiner, MinerToValidator] = Link(
            self._pipe, _CODEC, clock=clock, complain=_complaint
        )
        self._validator = validator
        self._socket = socket
        self._offers = offers
        self._clock = clock
        self._job_control = job_control
        self._speaking: dict[str, asyncio.Task[None]] = {}
        self._has_offered = False

    async def hold(self) -> None:
        """The whole conversation.

        Raises:
            LinkError: the socket broke while something was said.
        """
        refusal = await in_database(subnet.standing)(self._validator)
        if refusal is None:
            refusal = await self._authentication_fault()
        if refusal is not None:
            await self._turn_away(refusal)
            return
        offered = await in_database(hosts.offered)(self._offers.manifest())
        await self._link.send(Manifest(manifest=offered))
        try:
            async with asyncio.TaskGroup() as tasks:
                adopting = tasks.create_task(self._adopt(tasks))
                await self._listen(tasks)
                for task in (adopting, *self._speaking.values()):
                    task.cancel()
        finally:
            await in_database(messages.detach)(self._socket)

    async def _authentication_fault(self) -> Refusal | None:
        try:
            said = await self._link.receive(within=AUTH_LIMIT_SECONDS)
        except LinkTimeout:
            return Refusal(f"no authentication within {AUTH_LIMIT_SECONDS:g} s")
        if not isinstance(said, Authenticate):
            return Refusal("authenticate first")
        return await in_database(subnet.authenticate)(said, self._validator, self._clock.now())

    async def _turn_away(self, refusal: Refusal) -> None:
        metrics.REFUSALS.labels("miner", refusal.code or "AUTHENTICATION").inc()
        log.warning("validator refused", reason=refusal.details)
        if refusal.code is not None:
            await self._link.send(UnauthorizedError(code=refusal.code, details=refusal.details))
        await self._link.send(GenericError(details=refusal.details))
        await self._link.close()

    async def _listen(self, tasks: asyncio.TaskGroup) -> None:
        async for message in self._link:
            answer = await self._answer(message)
            if isinstance(answer, Attached):
                self._speak_for(answer.job_uuid, self._socket, tasks)
            elif answer is not None:
                await self._link.send(answer)

    async def _answer(
        self, message: ValidatorToMiner
    ) -> Attached | DeclineJob | GenericError | MainHotkey | None:
        now, mine = self._clock.now(), self._validator
        match message:
            case OfferJob():
                return await self._take(message)
            case StartJob():
                fault = await in_database(jobs.start)(
                    message, self._pipe.text, validator=mine, at=now
                )
                return _complaint(fault) if fault else None
            case CancelJob():
                fault = await in_database(jobs.cancel)(message.job_uuid, validator=mine, at=now)
                return _complaint(fault) if fault else None
            case AcceptedReceipt():
                await in_database(jobs.note_accepted)(message, validator=mine, at=now)
            case FinishedReceipt():
                await in_database(jobs.close)(message, validator=mine, at=now)
            case MainHotkey():
                return MainHotkey(main_hotkey=self._offers.main_hotkey())
            case GenericError():
                log.warning("validator did not understand", details=(message.details or "")[:500])
            case Authenticate():
                log.info("validator authenticates again")
        return None

    async def _take(self, offer: OfferJob) -> Attached | DeclineJob | GenericError:
        self._has_offered = True
        self._speaking = {job: task for job, task in self._speaking.items() if not task.done()}
        if len(self._speaking) >= MAX_JOBS:
            return _complaint(f"more than {MAX_JOBS} jobs on one socket")
        return await in_database(jobs.take)(
            offer,
            self._pipe.text,
            validator=self._validator,
            socket=self._socket,
            at=self._clock.now(),
        )

    def _speak_for(self, job_uuid: str, socket: str | None, tasks: asyncio.TaskGroup) -> None:
        """From now on, what is said about the job is said here, all that was said before first."""
        if (former := self._speaking.pop(job_uuid, None)) is not None:
            former.cancel()
        self._speaking[job_uuid] = tasks.create_task(self._speak(job_uuid, socket))

    async def _speak(self, job_uuid: str, socket: str | None) -> None:
        position = 0
        async with listening(job_topic(job_uuid), clock=self._clock) as ear:
            while True:
                now = self._clock.now()
                news = await in_database(messages.news)(
                    job_uuid, position, socket, now, live=self._job_control
                )
                if news.over or not await self._pass_on(news.texts):
                    return
                position = news.position
                if not news.texts:
                    await ear.wait(within=LOOK_SECONDS)

    async def _pass_on(self, texts: Iterable[str]) -> bool:
        try:
            for text in texts:
                await self._pipe.send_text(text)
        except LinkClosed:
            return False
        return True

    async def _adopt(self, tasks: asyncio.TaskGroup) -> None:
        """Some validators resume their jobs by merely authenticating on a new socket. Until this
        one has offered a job of its own, it hears of all that nobody listens to."""
        async with listening(validator_topic(self._validator), clock=self._clock) as ear:
            while not self._has_offered:
                now = self._clock.now()
                found = await in_database(messages.without_socket)(self._validator, now)
                self._overhear(found, tasks)
                await ear.wait(within=LOOK_SECONDS)

    def _overhear(self, found: list[str], tasks: asyncio.TaskGroup) -> None:
        if self._has_offered:
            return
        for job_uuid in found:
            if job_uuid not in self._speaking:
                self._speak_for(job_uuid, None, tasks)


def _complaint(details: str) -> GenericError:
    return GenericError(details=details)

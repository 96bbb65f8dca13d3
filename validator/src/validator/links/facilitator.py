"""The validator's side of its conversation with the facilitator.

The link is dialled for ever. What must be said lies in the outbox: it is said in order, one
message at a time, until the facilitator confirms it. Jobs do not depend on the link.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from datetime import datetime, timedelta
from typing import Final

import structlog
from django.db import DatabaseError

from compute_horde_common.contrib.django import outbox, serving
from compute_horde_common.contrib.django.db import in_database
from compute_horde_common.contrib.django.mailbox import listening
from compute_horde_common.contrib.django.models import Outbox
from compute_horde_common.links.link import LinkClosed, LinkError
from compute_horde_common.protocol.facilitator_validator import (
    HEARTBEAT_SECONDS,
    AuthChallenge,
    CheatedJob,
    FacilitatorToValidator,
    Heartbeat,
    JobRequest,
    Response,
    StatusUpdate,
)
from compute_horde_common.protocol.live import JOB_CONTROL, CancelJob, JobLog, JobProgress
from compute_horde_common.protocol.signatures import BadSignature
from compute_horde_common.telemetry.metrics import LINKS_OPEN, OUTBOX_SENT
from validator.links.dialling import FacilitatorLink
from validator.links.dispatch import Dispatcher
from validator.links.newsroom import Newsroom
from validator.links.office import Office
from validator.services import jobs

AUTHENTICATION_SECONDS: Final = 20.0
ANSWER_SECONDS: Final = 30.0
"""How long the facilitator may take to confirm a status."""
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
STABLE: Final = timedelta(seconds=60)
"""A link that lived so long was a good one; the next pause is short again."""
POLL_SECONDS: Final = 5.0
FAREWELL_SECONDS: Final = 0.5
"""How often it is looked whether the last statuses are said, before we leave."""
LEASE_SECONDS: Final = 3600.0
CLAIMED_AT_ONCE: Final = 16
MOST_UNREAD_ANSWERS: Final = 64
DROPPED: Final = frozenset({"job.integrity_error", "job.not_found"})
"""Refusals that a repetition would not change, and that are no fault of the message."""

DialFacilitator = Callable[[], AbstractAsyncContextManager[tuple[FacilitatorLink, bool]]]
"""Opens a link, and says whether the facilitator will challenge us."""

log = structlog.get_logger(__name__)


class NotLetIn(LinkError):
    """The facilitator does not accept our authentication."""


async def stay_connected(dial: DialFacilitator, post: "Post") -> None:
    """Talks to the facilitator, for ever; a broken link is dialled anew after a pause. While no new
    work is taken, there is a link only for what must be said about jobs that were taken before."""
    clock, pause = post.office.clock, FIRST_PAUSE
    while True:
        since = clock.now()
        try:
            await post.until_needed()
            since = clock.now()
            async with dial() as (link, challenges):
                await post.converse(link, challenges=challenges)
            log.warning("facilitator link closed")
        except (LinkError, DatabaseError) as error:
            log.warning("facilitator link broken", reason=str(error))
        if clock.now() - since > STABLE:
            pause = FIRST_PAUSE
        await clock.sleep_until(_wake(clock.now(), pause))
        pause = min(LONGEST_PAUSE, pause * 2)


async def authenticate(
    link: FacilitatorLink, office: Office, *, challenges: bool, allow_static: bool
) -> None:
    """Says who we are, and returns once we are let in.

    Raises:
        NotLetIn: the facilitator does not want us.
        LinkError: the link broke, or nothing was answered in time.
    """
    if challenges:
        challenge = await link.expect(AuthChallenge, within=AUTHENTICATION_SECONDS)
        await link.send(office.challenge_answer(challenge.nonce))
    elif allow_static:
        await link.send(office.static_authentication())
    else:
        raise NotLetIn("the facilitator does not challenge us. ALLOW_STATIC_FACILITATOR_AUTH")
    answer = await link.expect(Response, within=AUTHENTICATION_SECONDS)
    if answer.status != "success":
        raise NotLetIn(_told(answer))


class Post:
    """What is said and heard on the facilitator's link.

    Args:
        office: who we are.
        dispatcher: drives the jobs that are taken.
        newsroom: holds what running jobs write.
        allow_static: whether to authenticate in a form that could be replayed, where the
            facilitator does not challenge us.
    """

    def __init__(
        self, office: Office, dispatcher: Dispatcher, newsroom: Newsroom, *, allow_static: bool
    ) -> None:
        self.office = office
        self._dispatcher = dispatcher
        self._newsroom = newsroom
        self._allow_static = allow_static

    async def until_needed(self) -> None:
        """Returns once there is something to talk about.

        Raises:
            DatabaseError: nobody knows.
        """
        async with listening(serving.TOPIC, clock=self.office.clock) as ear:
            while not await self._is_needed():
                await ear.wait(within=POLL_SECONDS)

    async def converse(self, link: FacilitatorLink, *, challenges: bool) -> None:
        """One link's whole life. Returns when it closes.

        Raises:
            NotLetIn: the facilitator does not want us.
            LinkError: the link broke before we were let in, or the facilitator sends rubbish.
        """
        await authenticate(
            link, self.office, challenges=challenges, allow_static=self._allow_static
        )
        log.info("facilitator connected", challenged=challenges)
        answers: asyncio.Queue[Response] = asyncio.Queue(MOST_UNREAD_ANSWERS)
        with (
            LINKS_OPEN.labels("validator", "facilitator").track_inprogress(),
            self._newsroom.connected(wanted=link.subprotocol == JOB_CONTROL),
        ):
            speaking = [
                asyncio.create_task(self._beat(link)),
                asyncio.create_task(self._send_statuses(link, answers)),
                asyncio.create_task(self._tell_news(link)),
                asyncio.create_task(self._hang_up_in_time(link)),
            ]
            try:
                await self._listen(link, answers)
            finally:
                for task in speaking:
                    task.cancel()
                await asyncio.gather(*speaking, return_exceptions=True)

    async def _beat(self, link: FacilitatorLink) -> None:
        clock = self.office.clock
        while True:
            try:
                await link.send(Heartbeat())
            except LinkClosed:
                return
            await clock.sleep_until(clock.now() + timedelta(seconds=HEARTBEAT_SECONDS))

    async def _listen(self, link: FacilitatorLink, answers: asyncio.Queue[Response]) -> None:
        async for message in link:
            await self._hear(message, answers)

    async def _hear(
        self, message: FacilitatorToValidator, answers: asyncio.Queue[Response]
    ) -> None:
        match message:
            case JobRequest():
                await self._take(message)
            case CheatedJob():
                await self._hear_report(message)
            case CancelJob():
                await self._cancel(message.job_uuid)
            case Response():
                try:
                    answers.put_nowait(message)
                except asyncio.QueueFull:
                    log.warning("answer to nothing", told=_told(message))
            case AuthChallenge():
                log.warning("challenge out of turn")

    async def _take(self, request: JobRequest) -> None:
        take = in_database(jobs.take)
        try:
            case = await take(
                request,
                own=self.office.signer.ss58,
                verify=self.office.verify,
                at=self.office.clock.now(),
            )
        except ValueError as error:
            log.warning("job request dropped", reason=str(error))
            return
        except DatabaseError:
            # The facilitator says it again until it hears of the job.
            log.exception("job request could not be stored")
            return
        if case is not None:
            self._dispatcher.start(case.uuid, case)

    async def _cancel(self, job_uuid: str) -> None:
        try:
            runs = await in_database(jobs.request_cancel)(job_uuid, self.office.clock.now())
        except DatabaseError:
            # The facilitator says it again until the job has ended.
            log.exception("cancellation could not be stored")
            return
        if runs:
            self._dispatcher.cancel(job_uuid)
        log.info("cancellation heard", job=job_uuid, runs=runs)

    async def _hear_report(self, report: CheatedJob) -> None:
        mark = in_database(jobs.mark_cheated)
        try:
            marked = await mark(report, own=self.office.signer.ss58, verify=self.office.verify)
        except (BadSignature, DatabaseError) as error:
            log.warning("cheat report dropped", job=report.job_uuid[:64], reason=str(error))
            return
        log.info("cheat report heard", job=report.job_uuid[:64], marked=marked)

    async def _hang_up_in_time(self, link: FacilitatorLink) -> None:
        """Closes the link once nothing is to be done on it any more."""
        async with listening(serving.TOPIC, clock=self.office.clock) as ear:
            try:
                while (last := await in_database(jobs.last_words)()) is None:
                    await ear.wait(within=POLL_SECONDS)
                while not await in_database(jobs.is_said)(last):
                    await ear.wait(within=FAREWELL_SECONDS)
            except DatabaseError as error:
                log.warning("not known whether the link is needed", reason=str(error))
        log.info("facilitator link given up")
        await link.close()

    async def _is_needed(self) -> bool:
        return await in_database(jobs.link_is_needed)(self.office.clock.now())

    async def _tell_news(self, link: FacilitatorLink) -> None:
        with suppress(LinkClosed):
            while True:
                await _send_and_yield(link, await self._newsroom.next())

    async def _send_statuses(self, link: FacilitatorLink, answers: asyncio.Queue[Response]) -> None:
        try:
            await in_database(outbox.release)(jobs.FACILITATOR)
            async with listening(outbox.topic(jobs.FACILITATOR)) as ear:
                while True:
                    await self._send_due(link, answers)
                    await ear.wait(within=POLL_SECONDS)
        except LinkClosed:
            return
        except (LinkError, DatabaseError, TimeoutError) as error:
            # Whoever listens on the link sees it close, and it is dialled anew.
            log.warning("statuses cannot be sent", reason=str(error) or "no answer in time")
            await link.close()

    async def _send_due(self, link: FacilitatorLink, answers: asyncio.Queue[Response]) -> None:
        claim = in_database(outbox.claim_due)
        while True:
            now = self.office.clock.now()
            rows = await claim(jobs.FACILITATOR, now, LEASE_SECONDS, CLAIMED_AT_ONCE)
            for row in rows:
                await self._send(row, link, answers)
            # What is put after a claim rings the ear: looking again would find nothing.
            if len(rows) < CLAIMED_AT_ONCE:
                return

    async def _send(
        self, row: Outbox, link: FacilitatorLink, answers: asyncio.Queue[Response]
    ) -> None:
        while not answers.empty():
            log.warning("answer to nothing", told=_told(answers.get_nowait()))
        update = StatusUpdate.model_validate_json(row.body)
        if update.status.is_end:
            while frame := self._newsroom.next_of(update.uuid):
                await _send_and_yield(link, frame)
        await link.send(update)
        OUTBOX_SENT.labels("validator").inc()
        async with self.office.clock.timeout(ANSWER_SECONDS):
            answer = await answers.get()
        kinds = {error.type for error in answer.errors}
        if any(kind.startswith("auth.") for kind in kinds):
            raise NotLetIn(_told(answer))
        if answer.status != "success" and not kinds & DROPPED:
            log.error("facilitator refuses a status", job=row.about, told=_told(answer))
        await in_database(outbox.confirm)(row.id)


async def _send_and_yield(link: FacilitatorLink, news: JobLog | JobProgress) -> None:
    await link.send(news)
    # Sending into a buffer that has room lets nobody else run, and statuses must not wait.
    await asyncio.sleep(0)


def _wake(now: datetime, pause: float) -> datetime:
    jitter = random.uniform(0.5, 1.0)  # noqa: S311 - spreads reconnects, protects nothing
    return now + timedelta(seconds=pause * jitter)


def _told(answer: Response) -> str:
    return "; ".join(f"{error.type}: {error.msg}" for error in answer.errors)[:500]

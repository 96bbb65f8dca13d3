"""The facilitator's side of its conversation with a validator.

Jobs, cancellations and reports lie in the outbox. A job is said again until the validator tells any
status of it, which may be on another socket or after a restart; a cancellation until the job has
ended; a report is said once, since nothing confirms it.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NoReturn

import structlog
from pydantic import BaseModel
from typing_extensions import override

from compute_horde_common.clock import Clock
from compute_horde_common.contrib.django import outbox
from compute_horde_common.contrib.django.conversation import ConsumerPipe
from compute_horde_common.contrib.django.db import in_database
from compute_horde_common.contrib.django.mailbox import listening
from compute_horde_common.contrib.django.models import Outbox
from compute_horde_common.jobs.lifecycle import IllegalMove
from compute_horde_common.links.link import POLICY_VIOLATION, Link, LinkClosed, LinkTimeout
from compute_horde_common.protocol.base import Codec, MalformedMessage
from compute_horde_common.protocol.facilitator_validator import (
    CHALLENGE_FEATURE,
    CLOSE_BAD_SIGNATURE,
    CLOSE_NOT_A_VALIDATOR,
    CONNECTED_SECONDS,
    AuthChallenge,
    ChallengeAuthentication,
    CheatedJob,
    FacilitatorToValidator,
    Heartbeat,
    MachineSpecsUpdate,
    Response,
    ResponseError,
    StaticAuthentication,
    StatusUpdate,
    ValidatorToFacilitator,
    challenge_text,
)
from compute_horde_common.protocol.live import JOB_CONTROL, JobLog, JobProgress
from compute_horde_common.protocol.signatures import hex_verified
from compute_horde_common.telemetry.metrics import LINKS_OPEN, OUTBOX_SENT, REFUSALS
from facilitator import wiring
from facilitator.config import config
from facilitator.domain.refusals import JobUnknown
from facilitator.services import fleet, jobs, live

AUTHENTICATION_SECONDS: Final = 20.0
LEASE_SECONDS: Final = 10.0
"""How long a message that was sent is left alone before it is sent again."""
CLAIMED_AT_ONCE: Final = 16
POLL_SECONDS: Final = 5.0
STANDING_SECONDS: Final = 15.0
"""How often it is looked up whether the validator still is one, and shows that it is there."""
MAX_UNREADABLE: Final = 16
LONGEST_TEXT: Final = 500

log = structlog.get_logger(__name__)


class Unreadable(BaseModel):
    """A frame that is no message of this conversation, and what is wrong with it."""

    errors: list[ResponseError]


Heard = ValidatorToFacilitator | Unreadable
ValidatorLink = Link[Heard, FacilitatorToValidator]


class TolerantCodec(Codec[Any]):
    """Reads anything; what is wrong with a frame is told to its sender, in its turn."""

    @override
    def decode(self, text: str | bytes) -> Any:
        try:
            return super().decode(text)
        except MalformedMessage as malformed:
            return Unreadable(errors=[_fault(error) for error in malformed.errors])


CODEC: Final = TolerantCodec(ValidatorToFacilitator)
OUTGOING: Final = Codec[FacilitatorToValidator](FacilitatorToValidator)


@dataclass(frozen=True, slots=True)
class Terms:
    """How the conversation is held.

    ``verify`` and ``address_of`` (public key to address, ``ValueError`` for none) know about keys;
    ``allow_static`` lets validators in whose authentication could be replayed.
    """

    clock: Clock
    verify: Callable[[str, bytes, bytes], bool]
    address_of: Callable[[bytes], str]
    allow_static: bool = False


@dataclass(frozen=True, slots=True)
class Visitor:
    """What a peer said in its handshake; ``challenged`` if it knows the challenge, and
    ``job_control`` if it knows that besides."""

    version: str = ""
    runner_version: str = ""
    challenged: bool = False
    job_control: bool = False


async def converse(pipe: ConsumerPipe) -> None:
    """One socket's whole life."""
    headers = pipe.scope.headers
    visitor = Visitor(
        version=headers.get("x-validator-version", "").replace("\0", ""),
        runner_version=headers.get("x-validator-runner-version", "").replace("\0", ""),
        challenged=pipe.scope.subprotocol in {JOB_CONTROL, CHALLENGE_FEATURE},
        job_control=pipe.scope.subprotocol == JOB_CONTROL,
    )
    terms = Terms(
        clock=wiring.clock(),
        verify=wiring.verify,
        address_of=wiring.ss58_from_public_key,
        allow_static=config.allow_static_validator_auth,
    )
    await hold(Link(pipe, CODEC, clock=terms.clock), visitor, terms)


async def hold(link: ValidatorLink, visitor: Visitor, terms: Terms) -> None:
    """Lets a validator in, then hears its statuses and sends it jobs until the link closes."""
    try:
        hotkey = await _Gate(link, visitor, terms).let_in()
    except (LinkTimeout, TimeoutError):
        await link.close(POLICY_VIOLATION, "not authenticated in time")
        return
    except LinkClosed:
        log.debug("peer left before it was let in")
        return
    if hotkey is None:
        return
    with structlog.contextvars.bound_contextvars(validator=hotkey):
        connect = in_database(fleet.connect)
        now = terms.clock.now()
        control = visitor.job_control
        number = await connect(
            hotkey, visitor.version, visitor.runner_version, now, job_control=control
        )
        log.info("validator connected", challenged=visitor.challenged, job_control=control)
        mailboxes = [fleet.mailbox_of(hotkey)]
        if control:
            mailboxes.append(fleet.control_mailbox_of(hotkey))
        await _Conversation(link, hotkey, number, terms.clock, mailboxes=mailboxes).hold()
        log.info("validator disconnected")


class _Gate:
    """Finds out which validator a peer is."""

    def __init__(self, link: ValidatorLink, visitor: Visitor, terms: Terms) -> None:
        self._link = link
        self._visitor = visitor
        self._terms = terms
        self._nonce = secrets.token_hex(32)

    async def let_in(self) -> str | None:
        """The validator's hotkey; None if the peer was sent away.

        Raises:
            LinkTimeout: it did not authenticate itself in time.
        """
        if self._visitor.challenged:
            await self._link.send(AuthChallenge(nonce=self._nonce))
        end = self._terms.clock.now() + timedelta(seconds=AUTHENTICATION_SECONDS)
        rubbish = 0
        while True:
            left = (end - self._terms.clock.now()).total_seconds()
            match await self._link.receive(within=left):
                case StaticAuthentication() | ChallengeAuthentication() as proof:
                    return await self._judged(proof)
                case Unreadable() as unreadable:
                    await self._link.send(_refusal(unreadable))
                case _:
                    await self._link.send(
                        Response.refusal(
                            "auth.not_authenticated",
                            "this socket is not authenticated",
                            "Authenticate first.",
                        )
                    )
            rubbish += 1
            if rubbish > MAX_UNREADABLE:
                await self._link.close(POLICY_VIOLATION, "too many frames before authentication")
                return None

    async def _judged(self, proof: StaticAuthentication | ChallengeAuthentication) -> str | None:
        hotkey = self._claimed(proof)
        if hotkey is None:
            await self._send_away(
                "auth.signature_invalid", "the signature is not good here", CLOSE_BAD_SIGNATURE
            )
            return None
        if "\0" in hotkey or not await in_database(fleet.is_active)(hotkey):
            await self._send_away(
                "auth.validator_not_found", "this hotkey is no validator's", CLOSE_NOT_A_VALIDATOR
            )
            return None
        if not self._proves(proof, hotkey):
            await self._send_away(
                "auth.signature_invalid", "the signature is not good here", CLOSE_BAD_SIGNATURE
            )
            return None
        await self._link.send(Response.ok())
        return hotkey

    def _claimed(self, proof: StaticAuthentication | ChallengeAuthentication) -> str | None:
        """Whom the peer says to be; None where its way of saying so is not accepted."""
        if isinstance(proof, ChallengeAuthentication):
            return proof.hotkey if self._visitor.challenged else None
        if self._visitor.challenged or not self._terms.allow_static:
            return None
        try:
            return self._terms.address_of(bytes.fromhex(proof.public_key))
        except ValueError:
            return None

    def _proves(self, proof: StaticAuthentication | ChallengeAuthentication, hotkey: str) -> bool:
        if isinstance(proof, ChallengeAuthentication):
            text = challenge_text(hotkey, self._nonce)
            ours = proof.nonce == self._nonce
            return ours and hex_verified(hotkey, text, proof.signature, self._terms.verify)
        try:
            signature = bytes.fromhex(proof.signature.removeprefix("0x"))
        except ValueError:
            return False
        return self._terms.verify(hotkey, bytes.fromhex(proof.public_key), signature)

    async def _send_away(self, kind: str, told: str, code: int) -> None:
        REFUSALS.labels("facilitator", kind).inc()
        log.warning("validator refused", reason=kind)
        await self._link.send(Response.refusal(kind, told))
        await self._link.close(code, told)


class _Conversation:
    """With a validator that was let in; ``number`` is its socket's, and what lies in ``mailboxes``
    may be said on it."""

    def __init__(
        self,
        link: ValidatorLink,
        hotkey: str,
        number: int,
        clock: Clock,
        *,
        mailboxes: Sequence[str],
    ) -> None:
        self._link = link
        self._hotkey = hotkey
        self._number = number
        self._clock = clock
        self._mailboxes = mailboxes
        self._heard_at = clock.now()
        self._sent: dict[int, datetime] = {}
        self._unreadable = 0

    async def hold(self) -> None:
        try:
            with LINKS_OPEN.labels("facilitator", "validator").track_inprogress():
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._listen())
                    tasks.create_task(self._deliver())
                    tasks.create_task(self._watch())
        except* LinkClosed as closed:
            log.debug("link closed", reason=str(closed.exceptions[0]))
        finally:
            # Other sockets of this validator may have what this one did not get confirmed.
            disconnect = in_database(fleet.disconnect)
            await disconnect(self._number, self._hotkey, self._leased())

    async def _listen(self) -> NoReturn:
        async for message in self._link:
            await self._hear(message)
        raise LinkClosed(reason="peer left")

    async def _hear(self, message: Heard) -> None:
        match message:
            case Heartbeat():
                self._heard_at = self._clock.now()
                if not await in_database(fleet.beat)(self._number, self._heard_at):
                    await self._close(CLOSE_NOT_A_VALIDATOR, "heartbeat came too late")
            case StatusUpdate():
                await self._link.send(await self._recorded(message))
            case JobLog() | JobProgress():
                await self._record_live(message)
            case MachineSpecsUpdate():
                log.debug("machine specs ignored", miner=message.miner_hotkey[:64])
            case Unreadable():
                await self._object(message)
            case StaticAuthentication() | ChallengeAuthentication():
                await self._link.send(
                    Response.refusal("auth.already_authenticated", "this is known already")
                )

    async def _record_live(self, message: JobLog | JobProgress) -> None:
        record = in_database(live.record)
        await record(message, validator=self._hotkey, at=self._clock.now())

    async def _recorded(self, update: StatusUpdate) -> Response:
        try:
            await in_database(jobs.record)(update, validator=self._hotkey, at=self._clock.now())
        except JobUnknown as error:
            log.warning("status of an unknown job", job=update.uuid[:64], status=update.status)
            return Response.refusal("job.not_found", str(error))
        except IllegalMove as error:
            log.info("status out of turn", job=update.uuid[:64], reason=str(error))
            return Response.refusal("job.integrity_error", str(error))
        return Response.ok()

    async def _object(self, unreadable: Unreadable) -> None:
        self._unreadable += 1
        log.warning("malformed frame", errors=[error.type for error in unreadable.errors])
        await self._link.send(_refusal(unreadable))
        if self._unreadable > MAX_UNREADABLE:
            await self._close(POLICY_VIOLATION, "too many malformed frames")

    async def _deliver(self) -> NoReturn:
        topics = [outbox.topic(mailbox) for mailbox in self._mailboxes]
        async with listening(*topics, clock=self._clock) as ear:
            while True:
                claims = [await self._say_due(mailbox) for mailbox in self._mailboxes]
                # What is put after a claim rings the ear: looking again would find nothing.
                if max(claims) < CLAIMED_AT_ONCE:
                    await ear.wait(within=POLL_SECONDS)

    async def _say_due(self, mailbox: str) -> int:
        rows = await self._claim(mailbox)
        for row in rows:
            await self._say(row)
        return len(rows)

    async def _claim(self, recipient: str) -> list[Outbox]:
        """What is due, noted as ours; a claim that is cancelled half-way is made all the same."""
        now = self._clock.now()
        claim = in_database(outbox.claim_due)
        claiming = asyncio.ensure_future(claim(recipient, now, LEASE_SECONDS, CLAIMED_AT_ONCE))
        try:
            await asyncio.wait({claiming})
        except asyncio.CancelledError:
            await asyncio.wait({claiming})
            raise
        finally:
            if claiming.done() and claiming.exception() is None:
                until = now + timedelta(seconds=LEASE_SECONDS)
                self._sent |= {row.id: until for row in claiming.result()}
        return claiming.result()

    async def _say(self, row: Outbox) -> None:
        message = OUTGOING.decode(row.body)
        await self._link.send(message)
        OUTBOX_SENT.labels("facilitator").inc()
        log.info("message delivered", job=row.about, attempt=row.attempts)
        if isinstance(message, CheatedJob):
            await in_database(outbox.confirm)(row.id)

    def _leased(self) -> list[int]:
        """What was sent on this socket and would be left alone for some time yet."""
        now = self._clock.now()
        return [row for row, until in self._sent.items() if until > now]

    async def _watch(self) -> NoReturn:
        while True:
            now = self._clock.now()
            await self._clock.sleep_until(now + timedelta(seconds=STANDING_SECONDS))
            self._sent = {row: until for row, until in self._sent.items() if until > now}
            if self._clock.now() - self._heard_at > timedelta(seconds=CONNECTED_SECONDS):
                await self._close(CLOSE_NOT_A_VALIDATOR, "no heartbeat")
            if not await in_database(fleet.is_active)(self._hotkey):
                await self._close(CLOSE_NOT_A_VALIDATOR, "no longer a validator")

    async def _close(self, code: int, reason: str) -> NoReturn:
        log.warning("validator sent away", reason=reason)
        await self._link.close(code, reason)
        raise LinkClosed(code, reason)


def _refusal(unreadable: Unreadable) -> Response:
    return Response(status="error", errors=unreadable.errors)


def _fault(error: dict[str, Any]) -> ResponseError:
    told = {"msg": str(error["msg"])[:LONGEST_TEXT], "type": error["type"]}
    return ResponseError.model_validate({**told, "loc": [str(part) for part in error["loc"]]})

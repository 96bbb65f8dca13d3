import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from channels.testing import WebsocketCommunicator

from compute_horde_common.chain.keys import Hotkey, public_key_of, ss58_from_public_key, verify
from compute_horde_common.clock import HandWoundClock, SystemClock
from compute_horde_common.contrib.django import outbox
from compute_horde_common.contrib.django.db import in_database
from compute_horde_common.contrib.django.mailbox import wake
from compute_horde_common.contrib.django.models import Outbox
from compute_horde_common.jobs.lifecycle import JobStatus
from compute_horde_common.links.link import Link, LinkClosed, Pipe
from compute_horde_common.links.memory import pipe_pair
from compute_horde_common.protocol.base import Codec, encode
from compute_horde_common.protocol.facilitator_validator import (
    CHALLENGE_FEATURE,
    AuthChallenge,
    ChallengeAuthentication,
    CheatedJob,
    FacilitatorToValidator,
    Heartbeat,
    JobRequest,
    MachineSpecsUpdate,
    Response,
    StaticAuthentication,
    StatusUpdate,
    ValidatorToFacilitator,
    challenge_text,
)
from compute_horde_common.protocol.rest import CheatReport
from compute_horde_common.protocol.signatures import hex_signed
from facilitator.asgi import application
from facilitator.links.validator import CODEC, LEASE_SECONDS, Terms, Visitor, hold
from facilitator.models import Job, StatusChange, Validator, ValidatorConnection
from facilitator.services import cheating, fleet, jobs
from tests.scene import ALICE, ANSWER_LIMIT, BOB, MALLORY, a_job, a_submission, now

pytestmark = pytest.mark.django_db(transaction=True)

SOON = 5.0
FROM_FACILITATOR: Codec[FacilitatorToValidator] = Codec(FacilitatorToValidator)


class Peer:
    """A validator's end of a link."""

    def __init__(self, pipe: Pipe, hotkey: Hotkey) -> None:
        self.pipe = pipe
        self.hotkey = hotkey
        self.link: Link[FacilitatorToValidator, ValidatorToFacilitator] = Link(
            pipe, FROM_FACILITATOR, clock=SystemClock()
        )

    async def answer_challenge(self, **changes: str) -> Response:
        challenge = await self.link.expect(AuthChallenge, within=SOON)
        text = challenge_text(self.hotkey.ss58, challenge.nonce)
        proof = ChallengeAuthentication(
            hotkey=self.hotkey.ss58,
            nonce=challenge.nonce,
            signature=hex_signed(text, self.hotkey),
        )
        await self.link.send(proof.model_copy(update=changes))
        return await self.link.expect(Response, within=SOON)

    async def identify(self) -> Response:
        key = public_key_of(self.hotkey.ss58)
        proof = StaticAuthentication(
            public_key=key.hex(), signature="0x" + self.hotkey.sign(key).hex()
        )
        await self.link.send(proof)
        return await self.link.expect(Response, within=SOON)

    async def tell(self, job: Job, status: JobStatus) -> Response:
        await self.link.send(StatusUpdate(uuid=str(job.uuid), status=status))
        return await self.link.expect(Response, within=SOON)

    async def hear_job(self) -> JobRequest:
        return await self.link.expect(JobRequest, within=SOON)

    async def hear_nothing_but(self, message: ValidatorToFacilitator) -> Response:
        """The answer to a message, if nothing else came before it."""
        await self.link.send(message)
        answer = await self.link.receive(within=SOON)
        assert isinstance(answer, Response)
        return answer

    async def closed(self) -> int | None:
        with pytest.raises(LinkClosed) as caught:
            await self.link.receive(within=SOON)
        return caught.value.code


@asynccontextmanager
async def met(
    hotkey: Hotkey = BOB,
    *,
    challenged: bool = True,
    allow_static: bool = False,
    job_control: bool = False,
    clock: HandWoundClock | None = None,
) -> AsyncIterator[Peer]:
    """A validator that has connected and said nothing."""
    ours, theirs = pipe_pair()
    terms = Terms(clock or SystemClock(), verify, ss58_from_public_key, allow_static)
    conversation = asyncio.create_task(
        hold(
            Link(ours, CODEC, clock=terms.clock),
            Visitor("1", "2", challenged, job_control),
            terms,
        )
    )
    try:
        yield Peer(theirs, hotkey)
    finally:
        await theirs.close()
        async with asyncio.timeout(SOON):
            await conversation


@asynccontextmanager
async def let_in(
    hotkey: Hotkey = BOB, clock: HandWoundClock | None = None, *, job_control: bool = False
) -> AsyncIterator[Peer]:
    await in_database(fleet.allow)(hotkey.ss58)
    async with met(hotkey, clock=clock, job_control=job_control) as peer:
        assert (await peer.answer_challenge()).status == "success"
        yield peer


async def submitted(**changes: object) -> Job:
    wanted = a_submission(**changes)
    return await in_database(jobs.submit)(wanted, answer_limit=ANSWER_LIMIT, at=now())


async def status_of(job: Job) -> str:
    return (await in_database(Job.objects.get)(uuid=job.uuid)).status


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON):
        while not await in_database(true)():  # noqa: ASYNC110 - what is awaited is a row
            await asyncio.sleep(0.01)


def kinds(answer: Response) -> list[str]:
    return [error.type for error in answer.errors]


async def test_who_answers_the_challenge_is_let_in_and_noted() -> None:
    async with let_in():
        await until(lambda: fleet.is_connected(BOB.ss58, now()))
        validator = await in_database(Validator.objects.get)(ss58=BOB.ss58)

    assert (validator.version, validator.runner_version) == ("1", "2")
    assert not await in_database(ValidatorConnection.objects.exists)()


@pytest.mark.parametrize("changes", [{"signature": "0x" + "0" * 128}, {"nonce": "x" * 64}])
async def test_a_wrong_answer_to_the_challenge_is_refused(changes: dict[str, str]) -> None:
    await in_database(fleet.allow)(BOB.ss58)

    async with met() as peer:
        answer = await peer.answer_challenge(**changes)

        assert (kinds(answer), await peer.closed()) == (["auth.signature_invalid"], 3000)


async def test_who_is_no_validator_is_refused() -> None:
    async with met(MALLORY) as peer:
        answer = await peer.answer_challenge()

        assert (kinds(answer), await peer.closed()) == (["auth.validator_not_found"], 3001)


async def test_the_static_form_works_where_the_operator_allows_it() -> None:
    await in_database(fleet.allow)(BOB.ss58)

    async with met(challenged=False, allow_static=True) as peer:
        assert (await peer.identify()).status == "success"


@pytest.mark.parametrize(("challenged", "allowed"), [(False, False), (True, True)])
async def test_the_static_form_is_refused_otherwise(challenged: bool, allowed: bool) -> None:
    await in_database(fleet.allow)(BOB.ss58)

    async with met(challenged=challenged, allow_static=allowed) as peer:
        if challenged:
            await peer.link.expect(AuthChallenge, within=SOON)
        answer = await peer.identify()

        assert (kinds(answer), await peer.closed()) == (["auth.signature_invalid"], 3000)


async def test_before_authentication_nothing_else_is_taken() -> None:
    async with met(challenged=False) as peer:
        await peer.link.send(Heartbeat())

        answer = await peer.link.expect(Response, within=SOON)

    assert kinds(answer) == ["auth.not_authenticated"]


async def test_who_does_not_authenticate_in_time_is_sent_away() -> None:
    clock = HandWoundClock()

    async with met(challenged=False, clock=clock) as peer:
        await clock.advance(21)

        assert await peer.closed() == 1008


async def test_authenticating_twice_is_told() -> None:
    async with let_in() as peer:
        assert kinds(await peer.identify()) == ["auth.already_authenticated"]


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        ("{", "json_invalid"),
        ("{}", "union_tag_not_found"),
        ('{"message_type":"V9"}', "union_tag_invalid"),
        ('{"message_type":"V0Heartbeat","x":1}', "extra_forbidden"),
        ('{"message_type":"V0JobStatusUpdate","uuid":"x"}', "missing"),
        ('{"message_type":"V0JobStatusUpdate","uuid":"x","status":"unknown"}', "enum"),
    ],
)
async def test_a_frame_that_is_no_message_is_told_what_is_wrong(frame: str, kind: str) -> None:
    async with let_in() as peer:
        await peer.pipe.send_text(frame)

        answer = await peer.link.expect(Response, within=SOON)

    assert kinds(answer) == [kind]


async def test_too_much_rubbish_ends_the_conversation() -> None:
    async with let_in() as peer:
        for _ in range(17):
            await peer.pipe.send_text("{")
            await peer.link.expect(Response, within=SOON)

        assert await peer.closed() == 1008


async def test_a_status_moves_the_job() -> None:
    async with let_in() as peer:
        await until(lambda: fleet.is_connected(BOB.ss58, now()))
        job = await submitted()
        request = await peer.hear_job()

        answers = [
            await peer.tell(job, JobStatus.RECEIVED),
            await peer.tell(job, JobStatus.COMPLETED),
        ]

    assert request.uuid == str(job.uuid)
    assert [answer.status for answer in answers] == ["success", "success"]
    assert await status_of(job) == "completed"


async def test_a_repeated_status_is_told_and_changes_nothing() -> None:
    job = await in_database(a_job)()

    async with let_in() as peer:
        await peer.tell(job, JobStatus.RECEIVED)
        again = await peer.tell(job, JobStatus.RECEIVED)

    assert kinds(again) == ["job.integrity_error"]
    assert await in_database(StatusChange.objects.filter(job=job).count)() == 2


async def test_another_validators_job_is_not_found() -> None:
    job = await in_database(a_job)()

    async with let_in(MALLORY) as peer:
        answer = await peer.tell(job, JobStatus.COMPLETED)

    assert kinds(answer) == ["job.not_found"]
    assert await status_of(job) == "sent"


async def test_the_status_of_no_job_is_not_found() -> None:
    async with let_in() as peer:
        answer = await peer.hear_nothing_but(StatusUpdate(uuid="x", status=JobStatus.RECEIVED))

    assert kinds(answer) == ["job.not_found"]


async def test_heartbeats_and_machine_specs_get_no_answer() -> None:
    specs = MachineSpecsUpdate(
        miner_hotkey="m", validator_hotkey="v", specs={"gpu": 1}, batch_id="b"
    )
    async with let_in() as peer:
        await peer.link.send(Heartbeat())
        await peer.link.send(specs)

        answer = await peer.hear_nothing_but(StatusUpdate(uuid="x", status=JobStatus.RECEIVED))

    assert kinds(answer) == ["job.not_found"]


async def test_a_job_is_said_again_until_its_validator_tells_a_status() -> None:
    clock = HandWoundClock(now())
    async with let_in(clock=clock) as peer:
        job = await in_database(a_job)(clock.now())
        first = await peer.hear_job()
        await clock.advance(LEASE_SECONDS + 1)
        wake(outbox.topic(fleet.mailbox_of(BOB.ss58)))
        second = await peer.hear_job()

        await peer.tell(job, JobStatus.RECEIVED)
        left = await in_database(Outbox.objects.count)()

    assert (first, left) == (second, 0)


async def test_a_job_that_was_not_confirmed_is_said_again_on_the_next_socket() -> None:
    job = await in_database(a_job)()
    async with let_in() as peer:
        await peer.hear_job()

    async with let_in() as peer:
        assert (await peer.hear_job()).uuid == str(job.uuid)


async def test_two_sockets_of_a_validator_do_not_both_get_a_job() -> None:
    async with let_in() as one, let_in() as other:
        job = await in_database(a_job)()
        heard = [asyncio.create_task(peer.hear_job()) for peer in (one, other)]
        done, waiting = await asyncio.wait(heard, return_when=asyncio.FIRST_COMPLETED)

        idle = other if heard[0] in done else one
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        answer = await idle.hear_nothing_but(
            StatusUpdate(uuid=str(job.uuid), status=JobStatus.RECEIVED)
        )

    assert (len(done), answer.status) == (1, "success")


async def test_a_cheat_report_is_said_once_with_its_details() -> None:
    job, trusted = await in_database(a_job)(), await in_database(a_job)(on_trusted_miner=True)
    body = CheatReport(job_uuid=job.uuid, trusted_job_uuid=trusted.uuid)
    await in_database(cheating.report)(body, None, hotkey=ALICE.ss58, at=now())

    async with let_in() as peer:
        report = await peer.link.expect(CheatedJob, within=SOON)
        await until(lambda: Outbox.objects.count() == 2)

    assert (report.job_uuid, report.details) == (str(job.uuid), None)


async def test_who_is_no_longer_a_validator_is_sent_away() -> None:
    clock = HandWoundClock(now())
    async with let_in(clock=clock) as peer:
        await until(ValidatorConnection.objects.exists)
        await in_database(fleet.disallow)(BOB.ss58)
        await clock.advance(16)

        assert await peer.closed() == 3001


async def test_a_heartbeat_on_a_socket_that_was_given_up_ends_it() -> None:
    async with let_in() as peer:
        await until(ValidatorConnection.objects.exists)
        await in_database(fleet.forget_connections)(now() + timedelta(minutes=4))
        await peer.link.send(Heartbeat())

        assert await peer.closed() == 3001


async def test_a_silent_validator_is_sent_away() -> None:
    clock = HandWoundClock(now())
    async with let_in(clock=clock) as peer:
        await until(ValidatorConnection.objects.exists)
        await clock.advance(181)

        assert await peer.closed() == 3001


async def test_the_socket_challenges_who_offers_to_be_challenged() -> None:
    socket = WebsocketCommunicator(application, "/ws/v0/", subprotocols=[CHALLENGE_FEATURE])

    accepted, subprotocol = await socket.connect()
    first = await socket.receive_from()
    await socket.disconnect()

    assert (accepted, subprotocol) == (True, CHALLENGE_FEATURE)
    assert AuthChallenge.model_validate_json(first)


async def test_a_huge_frame_closes_the_socket() -> None:
    socket = WebsocketCommunicator(application, "/ws/v0/")
    await socket.connect()

    await socket.send_to("x" * ((16 << 20) + 1))

    assert (await socket.receive_output(SOON))["code"] == 1009


async def test_the_socket_lets_no_static_validator_in_by_default() -> None:
    await in_database(fleet.allow)(BOB.ss58)
    key = public_key_of(BOB.ss58)
    proof = StaticAuthentication(public_key=key.hex(), signature="0x" + BOB.sign(key).hex())
    socket = WebsocketCommunicator(application, "/ws/v0/")
    await socket.connect()

    await socket.send_to(encode(proof))

    answer = Response.model_validate_json(await socket.receive_from())
    assert kinds(answer) == ["auth.signature_invalid"]
    assert (await socket.receive_output(SOON))["code"] == 3000


async def test_each_socket_is_noted_while_it_is_open() -> None:
    async with let_in():
        async with let_in():
            await until(lambda: ValidatorConnection.objects.count() == 2)
        await until(lambda: ValidatorConnection.objects.count() == 1)

    assert not await in_database(ValidatorConnection.objects.exists)()

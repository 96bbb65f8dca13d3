import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel
from typing_extensions import override

from compute_horde_common.chain.interface import Address, Metagraph, Neuron
from compute_horde_common.chain.keys import Hotkey, verify
from compute_horde_common.clock import HandWoundClock, SystemClock
from compute_horde_common.contrib.django import outbox, serving
from compute_horde_common.contrib.django.db import in_database
from compute_horde_common.jobs.lifecycle import JobStatus
from compute_horde_common.links.link import (
    NORMAL,
    Link,
    LinkClosed,
    LinkError,
    LinkTimeout,
    Pipe,
)
from compute_horde_common.links.memory import pipe_pair
from compute_horde_common.links.websocket import DialFailed
from compute_horde_common.protocol.base import Codec
from compute_horde_common.protocol.facilitator_validator import (
    CHALLENGE_FEATURE,
    AuthChallenge,
    ChallengeAuthentication,
    Heartbeat,
    Response,
    StaticAuthentication,
    StatusUpdate,
    ValidatorToFacilitator,
    challenge_text,
)
from compute_horde_common.protocol.live import (
    JOB_CONTROL,
    MAX_PIECES,
    CancelJob,
    JobLog,
    JobProgress,
    LogPiece,
)
from compute_horde_common.protocol.signatures import hex_verified
from tests.links.scripted import MemoryDial
from tests.samples import MakeRequest
from validator.domain.assignments import JobCase, Terms
from validator.domain.phases import Phase, cancelled
from validator.links.dialling import FACILITATOR_CODEC, FacilitatorLink
from validator.links.dispatch import Dispatcher
from validator.links.facilitator import NotLetIn, Post, stay_connected
from validator.links.newsroom import Newsroom
from validator.links.office import Office
from validator.models import Job
from validator.services import jobs, subnet

pytestmark = pytest.mark.django_db(transaction=True)
PATIENCE = 5.0
Owe = Callable[..., Awaitable[None]]
JOB = UUID(int=7)
NONCE = "n" * 32


class Facilitator:
    """The facilitator's end of one socket; the test says what it says."""

    def __init__(self, pipe: Pipe) -> None:
        codec = Codec[ValidatorToFacilitator](ValidatorToFacilitator)
        self.pipe = pipe
        self.link: Link[ValidatorToFacilitator, BaseModel] = Link(pipe, codec, clock=SystemClock())

    async def let_in(self) -> None:
        await self.link.expect(StaticAuthentication, within=PATIENCE)
        await self.link.send(Response.ok())

    async def hear(self) -> tuple[str, JobStatus]:
        """The next status, unconfirmed."""
        update = await self.link.expect(StatusUpdate, within=PATIENCE)
        return update.uuid, update.status

    async def confirm(self, answer: Response | None = None) -> None:
        await self.link.send(answer or Response.ok())


@pytest.fixture
def real_office(office: Office) -> Office:
    return Office(office.signer, office.public_key, office.verify, SystemClock())


class Recorder(Dispatcher):
    """Notes which jobs were to be driven."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.cancelled: list[str] = []

    @override
    def start(self, job_uuid: str, case: JobCase | None = None) -> None:
        self.started.append(job_uuid)

    @override
    def cancel(self, job_uuid: str) -> None:
        self.cancelled.append(job_uuid)


@pytest.fixture
def dispatcher() -> Recorder:
    return Recorder()


@asynccontextmanager
async def connected(
    post: Post,
    *,
    challenges: bool = False,
    subprotocol: str | None = None,
    pipes: tuple[Pipe, Pipe] | None = None,
) -> AsyncIterator[tuple[Facilitator, "asyncio.Task[None]"]]:
    ours, theirs = pipes or pipe_pair()
    link: FacilitatorLink = Link(
        ours, FACILITATOR_CODEC, clock=post.office.clock, subprotocol=subprotocol
    )
    task = asyncio.create_task(post.converse(link, challenges=challenges))
    try:
        yield Facilitator(theirs), task
    finally:
        await theirs.close()
        with suppress(LinkError, asyncio.CancelledError):
            await asyncio.wait_for(task, PATIENCE)


@pytest.fixture
def newsroom(real_office: Office) -> Newsroom:
    return Newsroom(real_office.clock)


@pytest.fixture
def post(real_office: Office, dispatcher: Recorder, newsroom: Newsroom) -> Post:
    return Post(real_office, dispatcher, newsroom, allow_static=True)


@pytest.fixture
def owe() -> Owe:
    """Puts statuses of a job into the outbox."""

    def put(job_uuid: str, *statuses: JobStatus) -> None:
        for status in statuses:
            update = StatusUpdate(uuid=job_uuid, status=status)
            outbox.put(jobs.FACILITATOR, job_uuid, update.model_dump_json())

    return in_database(put)


async def owed() -> int:
    return len(await in_database(outbox.pending)(jobs.FACILITATOR))


async def test_a_challenge_is_answered_with_our_signature(post: Post, alice: Hotkey) -> None:
    async with connected(post, challenges=True) as (facilitator, _):
        await facilitator.link.send(AuthChallenge(nonce=NONCE))
        answer = await facilitator.link.expect(ChallengeAuthentication, within=PATIENCE)

    assert (answer.hotkey, answer.nonce) == (alice.ss58, NONCE)
    assert hex_verified(alice.ss58, challenge_text(alice.ss58, NONCE), answer.signature, verify)


async def test_without_a_challenge_the_old_form_is_used(
    post: Post, alice: Hotkey, office: Office
) -> None:
    async with connected(post) as (facilitator, _):
        hello = await facilitator.link.expect(StaticAuthentication, within=PATIENCE)

    signature = bytes.fromhex(hello.signature.removeprefix("0x"))
    assert hello.public_key == office.public_key.hex()
    assert verify(alice.ss58, office.public_key, signature)


async def test_the_old_form_is_not_used_where_the_operator_forbids_it(
    real_office: Office, dispatcher: Recorder, newsroom: Newsroom
) -> None:
    strict = Post(real_office, dispatcher, newsroom, allow_static=False)
    async with connected(strict) as (_, task):
        with pytest.raises(NotLetIn, match="ALLOW_STATIC"):
            await asyncio.wait_for(task, PATIENCE)


async def test_a_refusal_is_told(post: Post) -> None:
    async with connected(post) as (facilitator, task):
        await facilitator.link.send(Response.refusal("auth.validator_not_found", "who?"))
        with pytest.raises(NotLetIn, match=r"auth\.validator_not_found"):
            await asyncio.wait_for(task, PATIENCE)


async def test_it_beats_at_once_and_every_minute(
    office: Office, dispatcher: Recorder, newsroom: Newsroom
) -> None:
    post = Post(office, dispatcher, newsroom, allow_static=True)
    clock = office.clock
    assert isinstance(clock, HandWoundClock)
    async with connected(post) as (facilitator, _):
        await facilitator.let_in()
        await facilitator.link.expect(Heartbeat, within=PATIENCE)
        await clock.advance(60)

        assert await facilitator.link.expect(Heartbeat, within=PATIENCE)


async def test_a_job_is_received_and_driven(
    post: Post, dispatcher: Recorder, make_request: MakeRequest, alice: Hotkey
) -> None:
    request = make_request(alice)
    async with connected(post) as (facilitator, _):
        await facilitator.let_in()
        await facilitator.link.send(request)

        assert await facilitator.hear() == (request.uuid, JobStatus.RECEIVED)
    assert dispatcher.started == [request.uuid]


async def test_a_job_that_is_sent_twice_is_driven_once(
    post: Post, dispatcher: Recorder, make_request: MakeRequest, alice: Hotkey
) -> None:
    request, last = make_request(alice), make_request(alice, timestamp_ns=2)
    async with connected(post) as (facilitator, _):
        await facilitator.let_in()
        await facilitator.link.send(request)
        await facilitator.link.send(request)
        await facilitator.link.send(last)
        await facilitator.hear()
        await facilitator.confirm()

        assert await facilitator.hear() == (last.uuid, JobStatus.RECEIVED)
    assert dispatcher.started == [request.uuid, last.uuid]


async def test_a_strangers_job_is_rejected_and_not_driven(
    post: Post, dispatcher: Recorder, make_request: MakeRequest, bob: Hotkey
) -> None:
    request = make_request(bob)
    async with connected(post) as (facilitator, _):
        await facilitator.let_in()
        await facilitator.link.send(request)

        assert await facilitator.hear() == (request.uuid, JobStatus.REJECTED)
    assert dispatcher.started == []


@pytest.mark.parametrize("rubbish", ["{", "[]", '{"message_type": "V9"}', '"\\u0000"'])
async def test_rubbish_is_dropped_and_the_link_lives_on(
    post: Post, make_request: MakeRequest, alice: Hotkey, rubbish: str
) -> None:
    request = make_request(alice)
    async with connected(post) as (facilitator, _):
        await facilitator.let_in()
        await facilitator.pipe.send_text(rubbish)
        await facilitator.link.send(make_request(alice, "no-uuid"))
        await facilitator.link.send(request)

        assert await facilitator.hear() == (request.uuid, JobStatus.RECEIVED)


async def test_a_cancellation_is_noted_and_obeyed(
    post: Post, dispatcher: Recorder, make_request: MakeRequest, alice: Hotkey
) -> None:
    request, last = make_request(alice), make_request(alice, timestamp_ns=2)
    async with connected(post) as (facilitator, _):
        await facilitator.let_in()
        await facilitator.link.send(request)
        await facilitator.link.send(CancelJob(job_uuid=request.uuid))
        await facilitator.link.send(last)
        await facilitator.hear()
        await facilitator.confirm()
        await facilitator.hear()

    found = await in_database(Job.objects.get)(uuid=request.uuid)
    assert found.cancel_requested_at is not None
    assert dispatcher.cancelled == [request.uuid]


async def test_the_cancellation_of_a_job_that_does_not_run_is_passed_by(
    post: Post, dispatcher: Recorder, make_request: MakeRequest, alice: Hotkey
) -> None:
    ended, last = make_request(alice), make_request(alice, timestamp_ns=2)
    async with connected(post) as (facilitator, _):
        await facilitator.let_in()
        await facilitator.link.send(ended)
        await facilitator.hear()
        await in_database(jobs.settle)(ended.uuid, cancelled(None), post.office.clock.now())
        await facilitator.link.send(CancelJob(job_uuid=ended.uuid))
        await facilitator.link.send(CancelJob(job_uuid=str(uuid4())))
        await facilitator.link.send(last)
        await facilitator.confirm()

        assert await facilitator.hear() == (ended.uuid, JobStatus.FAILED)
        await facilitator.confirm()
        assert await facilitator.hear() == (last.uuid, JobStatus.RECEIVED)
    assert dispatcher.cancelled == []


def log_of(job_uuid: str, *numbers: int) -> JobLog:
    pieces = [LogPiece(number=number, stream="stdout", text=f"{number}\n") for number in numbers]
    return JobLog(job_uuid=job_uuid, pieces=pieces)


async def test_what_a_job_writes_is_said_where_the_facilitator_wants_it(
    post: Post, newsroom: Newsroom
) -> None:
    progress = JobProgress(job_uuid=str(JOB), percent=50, text="half")
    async with connected(post, subprotocol=JOB_CONTROL) as (facilitator, _):
        await facilitator.let_in()
        await facilitator.link.expect(Heartbeat, within=PATIENCE)
        newsroom.hear(log_of(str(JOB), 0))
        newsroom.hear(progress)

        assert await facilitator.link.receive(within=PATIENCE) == log_of(str(JOB), 0)
        assert await facilitator.link.receive(within=PATIENCE) == progress


async def test_what_a_job_writes_is_said_again_on_the_next_link(
    post: Post, newsroom: Newsroom
) -> None:
    for numbers in ([0], [0, 1]):
        async with connected(post, subprotocol=JOB_CONTROL) as (facilitator, _):
            await facilitator.let_in()
            newsroom.hear(log_of(str(JOB), *numbers[-1:]))
            heard = await facilitator.link.expect(JobLog, within=PATIENCE)
        assert heard == log_of(str(JOB), *numbers)


async def test_a_facilitator_that_does_not_want_it_hears_nothing_of_what_jobs_write(
    post: Post, newsroom: Newsroom
) -> None:
    newsroom.hear(log_of(str(JOB), 0))
    async with connected(post, subprotocol=CHALLENGE_FEATURE) as (facilitator, _):
        await facilitator.let_in()
        await facilitator.link.expect(Heartbeat, within=PATIENCE)
        newsroom.hear(log_of(str(JOB), 0))

        with pytest.raises(LinkTimeout):
            await facilitator.link.receive(within=0.05)


@pytest.fixture
def frames(newsroom: Newsroom) -> int:
    """How many frames are to be said of what a job wrote."""
    number = 200
    for start in range(0, number * MAX_PIECES, MAX_PIECES):
        newsroom.hear(log_of(str(JOB), *range(start, start + MAX_PIECES)))
    return number


class NarrowPipe(Pipe):
    """Takes a frame only once the one before it was read; counts those who wait with theirs."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._room = asyncio.Semaphore(1)
        self.waiting = 0

    def read(self) -> None:
        self._room.release()

    @override
    async def send_text(self, text: str) -> None:
        self.waiting += 1
        await self._room.acquire()
        self.waiting -= 1
        await self._pipe.send_text(text)

    @override
    async def receive_text(self) -> str:
        return await self._pipe.receive_text()

    @override
    async def close(self, code: int = NORMAL, reason: str = "") -> None:
        await self._pipe.close(code, reason)


async def the_first_frames(post: Post, number: int) -> list[object]:
    """What is heard once everybody who has something to say waits to say it."""
    ours, theirs = pipe_pair()
    narrow = NarrowPipe(ours)
    async with connected(post, subprotocol=JOB_CONTROL, pipes=(narrow, theirs)) as (there, _):
        await there.let_in()
        narrow.read()
        async with asyncio.timeout(PATIENCE):
            while narrow.waiting < 2:  # noqa: ASYNC110 - an attribute
                await asyncio.sleep(0)
        heard: list[object] = []
        for _ in range(number):
            heard.append(await there.link.receive(within=PATIENCE))
            narrow.read()
    return heard


async def test_a_status_waits_for_one_frame_of_other_jobs_at_most(
    post: Post, frames: int, owe: Owe
) -> None:
    await owe("other", JobStatus.COMPLETED)

    heard = await the_first_frames(post, 4)

    assert [type(message) for message in heard] == [Heartbeat, JobLog, StatusUpdate, JobLog]


async def test_the_end_of_a_job_is_said_after_all_that_it_wrote(
    post: Post, frames: int, owe: Owe
) -> None:
    await owe(str(JOB), JobStatus.COMPLETED)

    heard = await the_first_frames(post, frames + 2)

    kinds = [type(message) for message in heard]
    assert kinds == [Heartbeat, *([JobLog] * frames), StatusUpdate]
    numbers = [one.number for log in heard if isinstance(log, JobLog) for one in log.pieces]
    assert numbers == list(range(frames * MAX_PIECES))


async def test_others_have_their_turn_between_two_frames(post: Post, frames: int) -> None:
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with connected(post, subprotocol=JOB_CONTROL) as (facilitator, _):
        await facilitator.let_in()
        others = asyncio.create_task(take_turns())
        await facilitator.link.expect(JobLog, within=PATIENCE)
        before = turns
        for _ in range(frames - 1):
            await facilitator.link.expect(JobLog, within=PATIENCE)
        others.cancel()

    assert turns - before >= frames - 10


async def test_statuses_are_said_one_at_a_time(post: Post, owe: Owe) -> None:
    await owe("job", JobStatus.RECEIVED, JobStatus.ACCEPTED)
    async with connected(post) as (facilitator, _):
        await facilitator.let_in()
        await facilitator.hear()

        with pytest.raises(LinkTimeout):
            await facilitator.link.expect(StatusUpdate, within=0.05)
        await facilitator.confirm()
        assert await facilitator.hear() == ("job", JobStatus.ACCEPTED)


async def test_an_answer_to_nothing_confirms_nothing(post: Post, owe: Owe) -> None:
    async with connected(post) as (facilitator, _):
        await facilitator.let_in()
        await facilitator.confirm()
        await facilitator.link.expect(Heartbeat, within=PATIENCE)
        await owe("job", JobStatus.RECEIVED, JobStatus.ACCEPTED)
        await facilitator.hear()

        with pytest.raises(LinkTimeout):
            await facilitator.link.expect(StatusUpdate, within=0.05)


async def test_what_was_not_confirmed_is_said_again_on_the_next_link(post: Post, owe: Owe) -> None:
    await owe("job", JobStatus.RECEIVED, JobStatus.ACCEPTED, JobStatus.COMPLETED)
    async with connected(post) as (facilitator, _):
        await facilitator.let_in()
        await facilitator.hear()
        await facilitator.confirm()
        await facilitator.hear()

    async with connected(post) as (facilitator, _):
        await facilitator.let_in()
        heard = [await facilitator.hear()]
        await facilitator.confirm()
        heard.append(await facilitator.hear())

    assert heard == [("job", JobStatus.ACCEPTED), ("job", JobStatus.COMPLETED)]


@pytest.mark.parametrize("kind", ["job.integrity_error", "job.not_found", "extra_forbidden"])
async def test_a_status_that_is_refused_does_not_block_the_others(
    post: Post, owe: Owe, kind: str
) -> None:
    await owe("job", JobStatus.RECEIVED, JobStatus.ACCEPTED)
    async with connected(post) as (facilitator, _):
        await facilitator.let_in()
        await facilitator.hear()
        await facilitator.confirm(Response.refusal(kind, "no"))

        assert await facilitator.hear() == ("job", JobStatus.ACCEPTED)


async def test_a_status_is_kept_when_we_turn_out_not_to_be_let_in(post: Post, owe: Owe) -> None:
    await owe("job", JobStatus.RECEIVED)
    async with connected(post) as (facilitator, task):
        await facilitator.let_in()
        await facilitator.hear()
        await facilitator.confirm(Response.refusal("auth.not_authenticated", "who?"))
        await asyncio.wait_for(task, PATIENCE)

    assert await owed() == 1


async def test_a_status_is_said_as_soon_as_there_is_one(post: Post, owe: Owe) -> None:
    async with connected(post) as (facilitator, _):
        await facilitator.let_in()
        await facilitator.link.expect(Heartbeat, within=PATIENCE)
        await owe("job", JobStatus.RECEIVED)

        assert await facilitator.hear() == ("job", JobStatus.RECEIVED)


async def test_a_job_goes_on_while_the_link_is_broken(
    real_office: Office,
    newsroom: Newsroom,
    terms: Terms,
    dial: MemoryDial,
    make_request: MakeRequest,
    alice: Hotkey,
) -> None:
    request = make_request(alice, streaming_details={"public_key": "pem"})
    await in_database(serve_one)(real_office.clock.now())

    async with asyncio.TaskGroup() as group:
        real = Dispatcher(
            group,
            office=real_office,
            terms=terms,
            dial=lambda _host, _port, uuid, within: dial.to(uuid, within),
            newsroom=newsroom,
        )
        post = Post(real_office, real, newsroom, allow_static=True)
        async with connected(post) as (facilitator, _):
            await facilitator.let_in()
            await facilitator.link.send(request)
            miner = await dial.socket()
        await miner.greet()
        await miner.say(*Phase, uuid=request.uuid)
        await miner.farewell()

    found = await in_database(Job.objects.get)(uuid=request.uuid)
    assert found.status == JobStatus.COMPLETED


def serve_one(at: datetime) -> None:
    """Puts a miner with one executor on the chain."""
    neuron = Neuron(0, "hot", "cold", 0.0, Address("192.0.2.1", 80), False, 0)
    subnet.store_metagraph(Metagraph(12, 1, "0x", (neuron,)), at)
    subnet.store_manifest("hot", {"always_on.test": 1}, at)


async def test_the_facilitator_is_dialled_until_it_answers(
    office: Office, dispatcher: Recorder, newsroom: Newsroom, hand_wound_clock: HandWoundClock
) -> None:
    post = Post(office, dispatcher, newsroom, allow_static=True)
    refusals = iter(range(50))
    arrived = asyncio.Event()

    @asynccontextmanager
    async def dial() -> AsyncIterator[tuple[FacilitatorLink, bool]]:
        if next(refusals, None) is not None:
            raise DialFailed("ws://facilitator", "refused")
        arrived.set()
        ours, _ = pipe_pair()
        yield Link(ours, FACILITATOR_CODEC, clock=office.clock), False

    task = asyncio.create_task(stay_connected(dial, post))
    async with asyncio.timeout(PATIENCE):
        while not arrived.is_set():
            await hand_wound_clock.advance(30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_validator_that_takes_no_new_jobs_leaves_once_all_is_said(
    office: Office,
    dispatcher: Recorder,
    newsroom: Newsroom,
    owe: Owe,
    hand_wound_clock: HandWoundClock,
) -> None:
    post = Post(office, dispatcher, newsroom, allow_static=True)
    await owe("job", JobStatus.RECEIVED)
    async with connected(post) as (facilitator, task):
        await facilitator.let_in()
        await facilitator.hear()
        await in_database(serving.switch_off)("upgrade", office.clock.now())
        await hand_wound_clock.advance(20)
        stayed = not task.done()
        await facilitator.confirm()
        async with asyncio.timeout(PATIENCE):
            while not task.done():
                await hand_wound_clock.advance(5)

        with pytest.raises(LinkClosed):
            await facilitator.link.expect(StatusUpdate, within=PATIENCE)
    assert (stayed, await owed()) == (True, 0)


async def test_what_is_asked_for_while_the_last_jobs_end_is_rejected(
    post: Post, dispatcher: Recorder, make_request: MakeRequest, alice: Hotkey
) -> None:
    running, late = make_request(alice), make_request(alice, timestamp_ns=2)
    async with connected(post) as (facilitator, _):
        await facilitator.let_in()
        await facilitator.link.send(running)
        await facilitator.hear()
        await facilitator.confirm()
        await in_database(serving.switch_off)("upgrade", post.office.clock.now())
        await facilitator.link.send(late)

        assert await facilitator.hear() == (late.uuid, JobStatus.REJECTED)
    assert dispatcher.started == [running.uuid]


async def test_nobody_is_dialled_until_there_is_something_to_do(
    office: Office, dispatcher: Recorder, newsroom: Newsroom, hand_wound_clock: HandWoundClock
) -> None:
    post = Post(office, dispatcher, newsroom, allow_static=True)
    await in_database(serving.switch_off)("another server serves", office.clock.now())
    arrived = asyncio.Event()

    @asynccontextmanager
    async def dial() -> AsyncIterator[tuple[FacilitatorLink, bool]]:
        arrived.set()
        ours, _ = pipe_pair()
        yield Link(ours, FACILITATOR_CODEC, clock=office.clock), False

    task = asyncio.create_task(stay_connected(dial, post))
    for _ in range(10):
        await hand_wound_clock.advance(60)
    dialled_early = arrived.is_set()
    await in_database(serving.switch_on)("", office.clock.now())
    await asyncio.wait_for(arrived.wait(), PATIENCE)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert not dialled_early

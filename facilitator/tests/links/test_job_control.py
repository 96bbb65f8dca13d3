import pytest
from channels.testing import WebsocketCommunicator

from compute_horde_common.clock import HandWoundClock
from compute_horde_common.contrib.django import outbox
from compute_horde_common.contrib.django.db import in_database
from compute_horde_common.contrib.django.mailbox import wake
from compute_horde_common.contrib.django.models import Outbox
from compute_horde_common.jobs.lifecycle import JobStatus
from compute_horde_common.protocol.facilitator_validator import (
    CHALLENGE_FEATURE,
    AuthChallenge,
    Response,
    StatusUpdate,
    ValidatorToFacilitator,
)
from compute_horde_common.protocol.live import (
    JOB_CONTROL,
    CancelJob,
    JobLog,
    JobProgress,
    LogPiece,
)
from facilitator.asgi import application
from facilitator.links.validator import LEASE_SECONDS
from facilitator.models import Job, StoredPiece
from facilitator.services import cancelling, fleet
from tests.links.test_validator import SOON, Peer, kinds, let_in
from tests.scene import ALICE, BOB, MALLORY, a_job, now

pytestmark = pytest.mark.django_db(transaction=True)

NO_JOB = StatusUpdate(uuid="x", status=JobStatus.RECEIVED)


async def cancelled(job: Job) -> Job:
    return await in_database(cancelling.cancel)(job.uuid, ALICE.ss58, now())


async def received(peer: Peer) -> Job:
    """A job that a peer has got and told a status of."""
    job = await in_database(a_job)()
    await peer.hear_job()
    await peer.tell(job, JobStatus.RECEIVED)
    return job


async def hear_cancellation(peer: Peer) -> CancelJob:
    return await peer.link.expect(CancelJob, within=SOON)


def news_of(job: Job) -> list[ValidatorToFacilitator]:
    pieces = [LogPiece(number=number, stream="stderr", text=f"{number}\0") for number in (1, 0, 1)]
    uuid = str(job.uuid)
    return [JobLog(job_uuid=uuid, pieces=pieces), JobProgress(job_uuid=uuid, percent=7, text="a")]


async def known_of(job: Job) -> tuple[list[tuple[int, str]], float | None]:
    pieces = StoredPiece.objects.filter(job=job).values_list("number", "text")
    row = await in_database(Job.objects.get)(uuid=job.uuid)
    return await in_database(list)(pieces), row.progress_percent


@pytest.mark.parametrize("offered", [[JOB_CONTROL, CHALLENGE_FEATURE], [JOB_CONTROL]])
async def test_the_socket_picks_job_control_and_challenges(offered: list[str]) -> None:
    socket = WebsocketCommunicator(application, "/ws/v0/", subprotocols=offered)

    accepted, subprotocol = await socket.connect()
    first = await socket.receive_from()
    await socket.disconnect()

    assert (accepted, subprotocol) == (True, JOB_CONTROL)
    assert AuthChallenge.model_validate_json(first)


async def test_a_cancellation_is_said_to_whoever_understands_it() -> None:
    async with let_in(job_control=True) as peer:
        job = await received(peer)
        await cancelled(job)

        assert (await hear_cancellation(peer)).job_uuid == str(job.uuid)


async def test_a_cancellation_is_said_again_until_the_job_has_ended() -> None:
    clock = HandWoundClock(now())
    async with let_in(clock=clock, job_control=True) as peer:
        job = await received(peer)
        await cancelled(job)
        first = await hear_cancellation(peer)
        await clock.advance(LEASE_SECONDS + 1)
        wake(outbox.topic(fleet.control_mailbox_of(BOB.ss58)))
        second = await hear_cancellation(peer)

        await peer.tell(job, JobStatus.FAILED)
        left = await in_database(Outbox.objects.count)()

    assert (first, left) == (second, 0)


async def test_a_cancellation_is_said_again_on_the_next_socket() -> None:
    async with let_in(job_control=True) as peer:
        job = await received(peer)
        await cancelled(job)
        await hear_cancellation(peer)

    async with let_in(job_control=True) as peer:
        assert (await hear_cancellation(peer)).job_uuid == str(job.uuid)


async def test_a_socket_without_job_control_gets_no_cancellation() -> None:
    async with let_in(job_control=True) as peer:
        job = await received(peer)
        await cancelled(job)
        await hear_cancellation(peer)

    async with let_in() as plain:
        other = await in_database(a_job)()
        assert (await plain.hear_job()).uuid == str(other.uuid)
        answer = await plain.hear_nothing_but(NO_JOB)

    assert kinds(answer) == ["job.not_found"]
    waiting = await in_database(outbox.pending)(fleet.control_mailbox_of(BOB.ss58))
    assert [row.attempts for row in waiting] == [1]


async def test_output_and_progress_are_stored_and_get_no_answer() -> None:
    async with let_in(job_control=True) as peer:
        job = await received(peer)
        for message in news_of(job):
            await peer.link.send(message)

        answer = await peer.hear_nothing_but(NO_JOB)

    assert kinds(answer) == ["job.not_found"]
    assert await known_of(job) == ([(0, "0\ufffd"), (1, "1\ufffd")], 7.0)


async def test_another_validators_output_is_left_out() -> None:
    job = await in_database(a_job)()

    async with let_in(MALLORY, job_control=True) as peer:
        for message in news_of(job):
            await peer.link.send(message)
        await peer.hear_nothing_but(NO_JOB)

    assert await known_of(job) == ([], None)


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        ('{"message_type":"V0JobProgress","job_uuid":"%s","percent":101}', "less_than_equal"),
        ('{"message_type":"V0JobProgress","job_uuid":"x","percent":1}', "value_error"),
    ],
)
async def test_news_that_make_no_sense_are_told(frame: str, kind: str) -> None:
    async with let_in(job_control=True) as peer:
        await peer.pipe.send_text(frame.replace("%s", "0" * 8 + "-0000-4000-8000-" + "0" * 12))

        answer = await peer.link.expect(Response, within=SOON)

    assert kinds(answer) == [kind]

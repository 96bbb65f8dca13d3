import json
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from compute_horde_common.chain.keys import Hotkey, verify
from compute_horde_common.contrib.django.db import in_database
from compute_horde_common.jobs.failures import HordeFailureReason
from compute_horde_common.links.link import LinkClosed
from compute_horde_common.protocol.base import encode
from compute_horde_common.protocol.signatures import hex_verified
from compute_horde_common.protocol.validator_miner import (
    ExecutorReady,
    GenericError,
    HordeFailed,
    JobFailedReport,
    LegacyExecutorFailed,
    LegacyStreamingNotReady,
    OfferJob,
    StartJob,
    StreamingReady,
    VolumesReady,
    streaming_text,
)
from miner import wiring
from miner.domain.slots import ExecutorState
from miner.models import Executor, Job, JobMessage
from miner.services import executors, jobs
from tests import examples
from tests.links.conftest import WITHIN, DialExecutor, ExecutorPeer


@pytest.fixture
def announced() -> Iterator[str]:
    """What the chain was told of the miner's address."""
    wiring.remember_announced("203.0.113.1")
    yield "203.0.113.1"
    wiring.remember_announced("")


async def offered(validator: Hotkey, at: datetime, **changes: object) -> OfferJob:
    offer = examples.offer(validator, at, **changes)
    await in_database(jobs.take)(
        offer, encode(offer), validator=validator.ss58, socket="socket", at=at
    )
    return offer


async def started(peer: ExecutorPeer, validator: Hotkey, at: datetime) -> OfferJob:
    offer = await offered(validator, at)
    await peer.link.expect(OfferJob, within=WITHIN)
    await peer.link.send(examples.ready(offer))
    await until_said(offer, ExecutorReady)
    start = examples.start(offer)
    await in_database(jobs.start)(start, encode(start), validator=validator.ss58, at=at)
    await peer.link.expect(StartJob, within=WITHIN)
    return offer


async def until_said(offer: OfferJob, *kinds: type) -> list[str]:
    """What the validator is told, once the last of it is of one of these kinds."""
    names = {kind.__name__ for kind in kinds}
    while True:
        said = await in_database(all_said)(offer)
        if said and said[-1][0] in names:
            return [text for _, text in said]


def all_said(offer: OfferJob) -> list[tuple[str, str]]:
    found = JobMessage.objects.filter(job__job_uuid=offer.job_uuid)
    return list(found.values_list("kind", "text"))


async def test_a_warm_executor_gets_the_offer_when_there_is_one(
    dial_executor: DialExecutor, served: Hotkey, token: str, at: datetime
) -> None:
    peer = dial_executor(token)

    offer = await offered(served, at)

    assert await peer.link.expect(OfferJob, within=WITHIN) == offer


async def test_a_late_executor_gets_the_offer_at_once(
    dial_executor: DialExecutor, served: Hotkey, token: str, at: datetime
) -> None:
    offer = await offered(served, at)

    peer = dial_executor(token)

    assert await peer.link.expect(OfferJob, within=WITHIN) == offer


async def test_a_second_socket_with_the_same_token_is_refused(
    dial_executor: DialExecutor, served: Hotkey, token: str, at: datetime
) -> None:
    first = dial_executor(token)
    await offered(served, at)
    await first.link.expect(OfferJob, within=WITHIN)

    second = dial_executor(token)

    assert await second.link.expect(GenericError, within=WITHIN)
    with pytest.raises(LinkClosed):
        await second.link.expect(OfferJob, within=WITHIN)


async def test_the_executor_of_a_streaming_job_learns_its_address(
    dial_executor: DialExecutor, served: Hotkey, token: str, at: datetime
) -> None:
    await offered(served, at, streaming_details={"public_key": "pem", "executor_ip": None})

    peer = dial_executor(token)

    offer = await peer.link.expect(OfferJob, within=WITHIN)
    assert offer.streaming_details is not None
    assert offer.streaming_details.executor_ip == "192.0.2.7"


async def test_clients_of_an_executor_beside_us_are_led_to_where_the_miner_is_announced(
    dial_executor: DialExecutor, served: Hotkey, token: str, announced: str, at: datetime
) -> None:
    await offered(served, at, streaming_details={"public_key": "pem", "executor_ip": None})

    peer = dial_executor(token)

    offer = await peer.link.expect(OfferJob, within=WITHIN)
    assert offer.streaming_details is not None
    assert offer.streaming_details.executor_ip == announced


async def test_what_the_executors_manager_knows_goes_before_everything(
    dial_executor: DialExecutor, served: Hotkey, token: str, announced: str, at: datetime
) -> None:
    await in_database(executors.note_handle)(token, "handle", "198.51.100.1")
    await offered(served, at, streaming_details={"public_key": "pem", "executor_ip": None})

    peer = dial_executor(token)

    offer = await peer.link.expect(OfferJob, within=WITHIN)
    assert offer.streaming_details is not None
    assert offer.streaming_details.executor_ip == "198.51.100.1"


async def test_a_streaming_executors_address_is_signed(
    dial_executor: DialExecutor, served: Hotkey, bob: Hotkey, token: str, at: datetime
) -> None:
    peer = dial_executor(token)
    offer = await started(peer, served, at)
    await peer.link.send(VolumesReady(job_uuid=offer.job_uuid))

    await peer.link.send(StreamingReady(job_uuid=offer.job_uuid, public_key="pem", port=6006))

    said = StreamingReady.model_validate_json((await until_said(offer, StreamingReady))[-1])
    text = streaming_text(offer.job_uuid, "192.0.2.7", 6006, "pem")
    assert said.ip == "192.0.2.7"
    assert hex_verified(bob.ss58, text, said.miner_signature or "", verify)


async def test_a_job_that_goes_well_is_told_to_the_validator(
    dial_executor: DialExecutor, served: Hotkey, token: str, at: datetime
) -> None:
    peer = dial_executor(token)
    offer = await started(peer, served, at)
    run = examples.run_of(offer)

    for message in run:
        await peer.link.send(message)  # type: ignore[arg-type]  # all of them are an executor's

    said = await until_said(offer, type(run[-1]))
    assert said[2:] == [encode(message) for message in run]
    assert json.loads(said[1])["executor_token"] is None


async def test_a_message_about_another_job_is_refused(
    dial_executor: DialExecutor, served: Hotkey, token: str, at: datetime
) -> None:
    peer = dial_executor(token)
    await started(peer, served, at)

    await peer.link.send(VolumesReady(job_uuid=examples.offer(served, at).job_uuid))

    complaint = await peer.link.expect(GenericError, within=WITHIN)
    assert complaint.details == "that is another job's"


async def test_a_message_out_of_order_is_refused_and_the_job_goes_on(
    dial_executor: DialExecutor, served: Hotkey, token: str, at: datetime
) -> None:
    peer = dial_executor(token)
    offer = await started(peer, served, at)

    await peer.link.send(examples.run_of(offer)[-1])  # type: ignore[arg-type]  # an executor's

    complaint = await peer.link.expect(GenericError, within=WITHIN)
    assert "out of order" in (complaint.details or "")
    assert (await in_database(Job.objects.get)()).ended_at is None


async def test_a_message_without_a_job_is_refused(
    dial_executor: DialExecutor, served: Hotkey, token: str, at: datetime
) -> None:
    peer = dial_executor(token)

    await peer.link.send(examples.ready(examples.offer(served, at)))

    complaint = await peer.link.expect(GenericError, within=WITHIN)
    assert complaint.details == "there is no job yet"


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (GenericError(details="no disk"), {"reason": "generic_error", "message": "no disk"}),
        (
            LegacyExecutorFailed(job_uuid="JOB"),
            {"reason": "generic_error", "reported_by": "executor"},
        ),
        (
            LegacyStreamingNotReady(job_uuid="JOB"),
            {"reason": "unknown", "stage": "streaming_startup"},
        ),
    ],
)
async def test_what_old_executors_say_is_told_in_new_words(
    dial_executor: DialExecutor,
    served: Hotkey,
    token: str,
    at: datetime,
    message: GenericError,
    told: dict[str, str],
) -> None:
    peer = dial_executor(token)
    offer = await started(peer, served, at)

    await peer.pipe.send_text(encode(message).replace("JOB", offer.job_uuid))

    said = await until_said(offer, HordeFailed, JobFailedReport)
    assert told.items() <= json.loads(said[-1]).items()


async def test_an_executor_that_is_lost_fails_its_job(
    dial_executor: DialExecutor, served: Hotkey, token: str, at: datetime
) -> None:
    peer = dial_executor(token)
    offer = await started(peer, served, at)

    await peer.pipe.close()

    said = HordeFailed.model_validate_json((await until_said(offer, HordeFailed))[-1])
    assert (said.reason, said.reported_by) == (HordeFailureReason.EXECUTOR_DISCONNECTED, "miner")


async def test_an_executor_that_leaves_after_the_end_fails_nothing(
    dial_executor: DialExecutor, served: Hotkey, token: str, at: datetime
) -> None:
    peer = dial_executor(token)
    offer = await started(peer, served, at)
    for message in examples.run_of(offer):
        await peer.link.send(message)  # type: ignore[arg-type]  # all of them are an executor's

    await peer.pipe.close()
    await peer.over()

    job = await in_database(Job.objects.get)()
    assert (job.outcome, job.abandoned) == ("finished", False)
    assert (await in_database(Executor.objects.get)()).state == ExecutorState.LEAVING


async def test_an_executor_whose_job_was_given_up_is_let_go(
    dial_executor: DialExecutor, served: Hotkey, token: str, at: datetime
) -> None:
    peer = dial_executor(token)
    offer = await started(peer, served, at)

    await in_database(jobs.close)(
        examples.finished(offer, served, at), validator=served.ss58, at=at
    )

    with pytest.raises(LinkClosed):
        await peer.link.receive(within=WITHIN)


async def test_an_executor_that_talks_nonsense_is_not_listened_to_for_ever(
    dial_executor: DialExecutor, served: Hotkey, token: str, at: datetime
) -> None:
    peer = dial_executor(token)
    offer = await offered(served, at + timedelta(seconds=0))

    for _ in range(40):
        await peer.link.send(VolumesReady(job_uuid=offer.job_uuid))

    await peer.over()
    assert (await in_database(Job.objects.get)()).ended_at == at

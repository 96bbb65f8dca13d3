from datetime import datetime, timedelta

import pytest

from compute_horde_common.chain.keys import Hotkey
from compute_horde_common.clock import HandWoundClock
from compute_horde_common.contrib.django import serving
from compute_horde_common.contrib.django.db import in_database
from compute_horde_common.jobs.failures import RejectionReason
from compute_horde_common.links.link import LinkClosed
from compute_horde_common.protocol.base import encode
from compute_horde_common.protocol.validator_miner import (
    AcceptJob,
    Authenticate,
    DeclineJob,
    ExecutorReady,
    GenericError,
    HordeFailed,
    JobFinished,
    MainHotkey,
    Manifest,
    OfferJob,
    UnauthorizedError,
)
from miner.domain.slots import EndJob, ReleaseSlot
from miner.models import BlacklistedValidator, Job, Slot, Validator
from miner.services import executors, jobs
from tests import examples, fleet_of_rows
from tests.links.conftest import WITHIN, Dial, LetIn, Peer


async def turned_away(peer: Peer) -> str | None:
    complaint = await peer.link.expect(GenericError, within=WITHIN)
    with pytest.raises(LinkClosed) as closed:
        await peer.link.expect(Manifest, within=WITHIN)
    assert closed.value.code == 1000
    return complaint.details


async def accepted(peer: Peer, validator: Hotkey, at: datetime) -> OfferJob:
    offer = examples.offer(validator, at)
    await peer.link.send(offer)
    await peer.link.expect(AcceptJob, within=WITHIN)
    return offer


async def ready(offer: OfferJob, at: datetime) -> None:
    await in_database(jobs.say)(offer.job_uuid, examples.ready(offer), at)


async def test_after_authentication_comes_the_manifest(
    dial: Dial, served: Hotkey, at: datetime
) -> None:
    peer = dial(served)

    await peer.link.send(examples.authenticate(served, at))

    manifest = await peer.link.expect(Manifest, within=WITHIN)
    assert manifest.manifest == {examples.CLASS: 2}


async def test_a_miner_that_takes_no_new_jobs_offers_nothing_to_whoever_connects(
    dial: Dial, served: Hotkey, at: datetime
) -> None:
    await in_database(serving.switch_off)("upgrade", at)
    peer = dial(served)

    await peer.link.send(examples.authenticate(served, at))

    manifest = await peer.link.expect(Manifest, within=WITHIN)
    assert manifest.manifest == {examples.CLASS: 0}


async def test_a_validator_that_is_connected_is_declined_from_the_moment_of_the_switch(
    let_in: LetIn, served: Hotkey, at: datetime
) -> None:
    peer = await let_in(served)
    await in_database(serving.switch_off)("upgrade", at)

    await peer.link.send(examples.offer(served, at))

    declined = await peer.link.expect(DeclineJob, within=WITHIN)
    assert declined.reason == RejectionReason.BUSY


async def test_an_unknown_validator_is_told_and_sent_away(
    dial: Dial, served: Hotkey, charlie: Hotkey
) -> None:
    peer = dial(charlie)

    refusal = await peer.link.expect(UnauthorizedError, within=WITHIN)

    assert refusal.code == "UNKNOWN_VALIDATOR"
    assert await turned_away(peer)


async def test_an_inactive_validator_is_told_and_sent_away(dial: Dial, served: Hotkey) -> None:
    await in_database(Validator.objects.update)(active=False)
    peer = dial(served)

    refusal = await peer.link.expect(UnauthorizedError, within=WITHIN)

    assert refusal.code == "VALIDATOR_INACTIVE"
    assert await turned_away(peer)


@pytest.mark.parametrize("seconds", [-11, 11])
async def test_an_authentication_of_another_time_is_refused(
    dial: Dial, served: Hotkey, at: datetime, seconds: int
) -> None:
    peer = dial(served)

    await peer.link.send(examples.authenticate(served, at + timedelta(seconds=seconds)))

    refusal = await peer.link.expect(UnauthorizedError, within=WITHIN)
    assert refusal.code == "TOKEN_TOO_OLD"
    assert await turned_away(peer)


@pytest.mark.parametrize(
    "changes", [{"miner_hotkey": "0" * 48}, {"validator_hotkey": examples.BOB}]
)
async def test_an_authentication_for_somebody_else_is_refused(
    dial: Dial, served: Hotkey, at: datetime, changes: dict[str, object]
) -> None:
    peer = dial(served)

    await peer.link.send(examples.authenticate(served, at, **changes))

    assert await turned_away(peer)


async def test_a_forged_authentication_is_refused(
    dial: Dial, served: Hotkey, charlie: Hotkey, at: datetime
) -> None:
    peer = dial(served)
    forged = examples.authenticate(charlie, at, validator_hotkey=served.ss58)

    await peer.link.send(forged)

    assert await turned_away(peer) == "the authentication's signature does not verify"


async def test_a_replayed_authentication_is_refused(
    dial: Dial, served: Hotkey, at: datetime
) -> None:
    said = examples.authenticate(served, at)
    first = dial(served)
    await first.link.send(said)
    await first.link.expect(Manifest, within=WITHIN)
    second = dial(served)

    await second.link.send(said)

    assert await turned_away(second) == "this authentication was used before"


async def test_nothing_is_heard_before_authentication(
    dial: Dial, served: Hotkey, at: datetime
) -> None:
    peer = dial(served)

    await peer.link.send(examples.offer(served, at))

    assert await turned_away(peer) == "authenticate first"
    assert not await in_database(Job.objects.exists)()


async def test_who_does_not_authenticate_is_sent_away(
    dial: Dial, served: Hotkey, hand_wound_clock: HandWoundClock
) -> None:
    peer = dial(served)
    await peer.pipe.send_text("rubbish")
    await peer.link.expect(GenericError, within=WITHIN)

    await hand_wound_clock.advance(10)

    assert await turned_away(peer) == "no authentication within 10 s"


async def test_rubbish_is_complained_about_and_the_conversation_goes_on(
    let_in: LetIn, served: Hotkey, at: datetime
) -> None:
    peer = await let_in(served)

    await peer.pipe.send_text('{"message_type": "V0InitialJobRequest"}')

    assert await peer.link.expect(GenericError, within=WITHIN)
    await accepted(peer, served, at)


async def test_an_unknown_class_is_a_malformed_offer(
    let_in: LetIn, served: Hotkey, at: datetime
) -> None:
    peer = await let_in(served)
    text = encode(examples.offer(served, at)).replace(examples.CLASS, "always_on.unheard-of")

    await peer.pipe.send_text(text)

    complaint = await peer.link.expect(GenericError, within=WITHIN)
    assert "always_on.unheard-of" in (complaint.details or "")


async def test_endless_rubbish_ends_the_conversation(let_in: LetIn, served: Hotkey) -> None:
    peer = await let_in(served)

    for _ in range(20):
        await peer.pipe.send_text("rubbish")

    with pytest.raises(LinkClosed) as closed:
        await peer.link.expect(Manifest, within=WITHIN)
    assert closed.value.code == 1008


async def test_an_offer_is_accepted_before_any_executor_is_up(
    let_in: LetIn, served: Hotkey, at: datetime
) -> None:
    peer = await let_in(served)

    offer = await accepted(peer, served, at)

    assert str((await in_database(Job.objects.get)()).job_uuid) == offer.job_uuid


async def test_a_second_offer_on_one_socket_is_declined_when_busy(
    let_in: LetIn, served: Hotkey, at: datetime
) -> None:
    peer = await let_in(served)
    first = await accepted(peer, served, at)

    await peer.link.send(examples.offer(served, at + timedelta(seconds=1)))

    refusal = await peer.link.expect(DeclineJob, within=WITHIN)
    assert refusal.reason == RejectionReason.BUSY
    assert [receipt.payload.job_uuid for receipt in refusal.receipts] == [first.job_uuid]


async def test_two_jobs_are_served_on_one_socket(
    let_in: LetIn, served: Hotkey, at: datetime
) -> None:
    await in_database(fleet_of_rows.slots)(2)
    peer = await let_in(served)
    first = await accepted(peer, served, at)
    second = await accepted(peer, served, at)

    await ready(second, at)
    await ready(first, at)

    said = {(await peer.link.expect(ExecutorReady, within=WITHIN)).job_uuid for _ in range(2)}
    assert said == {first.job_uuid, second.job_uuid}


async def test_a_blacklisted_validator_is_declined(
    let_in: LetIn, served: Hotkey, at: datetime
) -> None:
    await in_database(BlacklistedValidator.objects.create)(hotkey=served.ss58)
    peer = await let_in(served)

    await peer.link.send(examples.offer(served, at))

    refusal = await peer.link.expect(DeclineJob, within=WITHIN)
    assert refusal.reason == RejectionReason.VALIDATOR_BLACKLISTED


async def test_a_stale_receipt_is_declined(let_in: LetIn, served: Hotkey, at: datetime) -> None:
    peer = await let_in(served)

    await peer.link.send(examples.offer(served, at - timedelta(minutes=5)))

    refusal = await peer.link.expect(DeclineJob, within=WITHIN)
    assert refusal.reason == RejectionReason.INVALID_RECEIPT


async def test_an_altered_offer_is_declined(let_in: LetIn, served: Hotkey, at: datetime) -> None:
    peer = await let_in(served)
    text = encode(examples.signed(examples.offer(served, at), served))

    await peer.pipe.send_text(text.replace("busybox", "busyb0x"))

    refusal = await peer.link.expect(DeclineJob, within=WITHIN)
    assert refusal.reason == RejectionReason.INVALID_SIGNATURE


async def test_a_signature_covers_members_that_we_do_not_know(
    let_in: LetIn, served: Hotkey, at: datetime
) -> None:
    peer = await let_in(served)
    text = encode(examples.signed(examples.offer(served, at), served))

    await peer.pipe.send_text(text[:-1] + ',"added":1}')

    refusal = await peer.link.expect(DeclineJob, within=WITHIN)
    assert refusal.reason == RejectionReason.INVALID_SIGNATURE


async def test_a_start_of_an_unknown_job_is_complained_about(
    let_in: LetIn, served: Hotkey, at: datetime
) -> None:
    peer = await let_in(served)
    start = examples.start(examples.offer(served, at))

    await peer.link.send(start)

    complaint = await peer.link.expect(GenericError, within=WITHIN)
    assert complaint.details == f"job {start.job_uuid} is not known here"


async def test_a_start_before_the_executor_is_ready_is_complained_about(
    let_in: LetIn, served: Hotkey, at: datetime
) -> None:
    peer = await let_in(served)
    offer = await accepted(peer, served, at)

    await peer.link.send(examples.start(offer))

    complaint = await peer.link.expect(GenericError, within=WITHIN)
    assert "out of order" in (complaint.details or "")


async def test_what_the_executor_says_reaches_the_validator_in_order(
    let_in: LetIn, served: Hotkey, at: datetime
) -> None:
    peer = await let_in(served)
    offer = await accepted(peer, served, at)
    await ready(offer, at)
    await peer.link.expect(ExecutorReady, within=WITHIN)
    start = examples.start(offer)
    await in_database(jobs.start)(start, encode(start), validator=served.ss58, at=at)

    for message in examples.run_of(offer):
        await in_database(jobs.say)(offer.job_uuid, message, at)  # type: ignore[arg-type]  # steps

    heard = [await peer.link.receive(within=WITHIN) for _ in range(3)]
    assert heard == examples.run_of(offer)


async def test_a_job_that_is_resumed_is_told_from_its_beginning(
    let_in: LetIn, served: Hotkey, at: datetime
) -> None:
    first = await let_in(served)
    offer = await accepted(first, served, at)
    await first.pipe.close()
    await ready(offer, at)
    second = await let_in(served)

    await second.link.send(offer)

    said = [type(await second.link.receive(within=WITHIN)) for _ in range(2)]
    assert said == [AcceptJob, ExecutorReady]


async def test_a_validator_that_merely_authenticates_again_hears_of_its_jobs(
    let_in: LetIn, served: Hotkey, at: datetime
) -> None:
    first = await let_in(served)
    offer = await accepted(first, served, at)
    second = await let_in(served)
    await first.pipe.close()

    await second.link.expect(AcceptJob, within=WITHIN)
    await ready(offer, at)

    assert (await second.link.expect(ExecutorReady, within=WITHIN)).job_uuid == offer.job_uuid


async def test_another_validator_hears_nothing(
    let_in: LetIn, served: Hotkey, charlie: Hotkey, at: datetime
) -> None:
    await in_database(Validator.objects.create)(hotkey=charlie.ss58)
    peer = await let_in(served)
    offer = await accepted(peer, served, at)
    await peer.pipe.close()
    other = await let_in(charlie)

    await other.link.send(examples.offer(charlie, at, job_uuid=offer.job_uuid))

    complaint = await other.link.receive(within=WITHIN)
    assert complaint == GenericError(details=f"job {offer.job_uuid} is not yours")


async def test_results_wait_for_a_validator_that_is_away(
    let_in: LetIn, served: Hotkey, at: datetime
) -> None:
    first = await let_in(served)
    offer = await accepted(first, served, at)
    await first.pipe.close()
    await ready(offer, at)
    start = examples.start(offer)
    await in_database(jobs.start)(start, encode(start), validator=served.ss58, at=at)
    for message in examples.run_of(offer):
        await in_database(jobs.say)(offer.job_uuid, message, at)  # type: ignore[arg-type]  # steps
    second = await let_in(served)

    await second.link.send(offer)

    result = await second.link.expect(JobFinished, within=WITHIN)
    assert result.docker_process_stdout == "hello"


async def test_the_finished_receipt_closes_the_job(
    let_in: LetIn, served: Hotkey, at: datetime
) -> None:
    peer = await let_in(served)
    offer = await accepted(peer, served, at)
    await peer.link.send(examples.accepted(offer, served, at))

    await peer.link.send(examples.finished(offer, served, at))
    await peer.link.send(MainHotkey())

    assert await peer.link.expect(MainHotkey, within=WITHIN)
    assert (await in_database(Job.objects.get)()).closed_at == at


async def test_a_silent_validator_is_told_and_its_slot_is_free_again(
    let_in: LetIn, served: Hotkey, at: datetime
) -> None:
    peer = await let_in(served)
    offer = await accepted(peer, served, at)
    await ready(offer, at)
    late = at + timedelta(seconds=61)

    (end, release) = await in_database(executors.review)(late, warm_starts=0)
    assert isinstance(end, EndJob)
    assert isinstance(release, ReleaseSlot)
    await in_database(jobs.end)(end.job, end.failure, late)
    await in_database(executors.release)(release.slot, release.job)

    assert await peer.link.expect(HordeFailed, within=WITHIN)
    assert await in_database(Slot.objects.filter(lease=None).count)() == 1


async def test_the_main_hotkey_is_told(let_in: LetIn, served: Hotkey) -> None:
    peer = await let_in(served)

    await peer.link.send(MainHotkey())

    answer = await peer.link.expect(MainHotkey, within=WITHIN)
    assert answer.main_hotkey == examples.BOB


async def test_authenticating_twice_does_no_harm(
    let_in: LetIn, served: Hotkey, at: datetime
) -> None:
    peer = await let_in(served)
    again: Authenticate = examples.authenticate(served, at)

    await peer.link.send(again)

    await accepted(peer, served, at)

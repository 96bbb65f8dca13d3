from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from django.db import connection

from compute_horde_common.chain.keys import Hotkey
from compute_horde_common.contrib.django.models import StoredReceipt
from compute_horde_common.jobs.failures import (
    HordeFailure,
    HordeFailureReason,
    Participant,
    RejectionReason,
)
from compute_horde_common.protocol.base import encode
from compute_horde_common.protocol.validator_miner import (
    DeclineJob,
    GenericError,
    HordeFailed,
    OfferJob,
)
from miner.domain.progress import JobState, OutOfOrder
from miner.domain.slots import EXIT_SECONDS, EndJob, ExecutorState, ReleaseSlot, StopExecutor
from miner.models import BlacklistedValidator, Executor, Job, Slot
from miner.services import executors, jobs, messages
from miner.services.executors import Order
from miner.services.jobs import Attached
from tests import examples, fleet_of_rows
from tests.jobs_of_rows import finish, kinds, running, taken

pytestmark = pytest.mark.django_db

Answer = Attached | DeclineJob | GenericError


def take(offer: OfferJob, validator: Hotkey, at: datetime, socket: str = "socket") -> Answer:
    return jobs.take(offer, encode(offer), validator=validator.ss58, socket=socket, at=at)


def test_an_accepted_job_has_a_slot_a_message_and_a_published_receipt(
    alice: Hotkey, at: datetime
) -> None:
    fleet_of_rows.slots()

    offer = taken(alice, at)

    assert str(Slot.objects.get().lease) == offer.job_uuid
    assert kinds(offer) == ["AcceptJob"]
    assert StoredReceipt.objects.get().page is not None


def test_an_executor_that_waits_is_assigned_at_once(alice: Hotkey, at: datetime) -> None:
    fleet_of_rows.slots(2)
    token = fleet_of_rows.warm(at, index=1)

    offer = taken(alice, at)

    orders = executors.orders(token, set())
    assert (orders.job_uuid, orders.text) == (offer.job_uuid, encode(offer))
    assert fleet_of_rows.state_of(token) == ExecutorState.ASSIGNED


def test_an_executor_that_is_starting_gets_the_job_when_it_connects(
    alice: Hotkey, at: datetime
) -> None:
    fleet_of_rows.slots()
    token = fleet_of_rows.executor(at)
    taken(alice, at)

    assert executors.connect(token, at)

    assert fleet_of_rows.state_of(token) == ExecutorState.ASSIGNED


def test_a_token_lets_in_once(at: datetime) -> None:
    fleet_of_rows.slots()
    token = fleet_of_rows.warm(at)

    assert not executors.connect(token, at)
    assert not executors.connect("another", at)


def test_a_busy_miner_shows_what_keeps_it_busy(alice: Hotkey, at: datetime) -> None:
    fleet_of_rows.slots()
    first = taken(alice, at)

    answer = take(examples.offer(alice, at + timedelta(seconds=7)), alice, at)

    assert isinstance(answer, DeclineJob)
    assert answer.reason == RejectionReason.BUSY
    assert [receipt.payload.job_uuid for receipt in answer.receipts] == [first.job_uuid]


def test_receipts_that_are_over_are_no_excuse(alice: Hotkey, at: datetime) -> None:
    fleet_of_rows.slots()
    taken(alice, at)
    later = at + timedelta(seconds=8)

    answer = take(examples.offer(alice, later), alice, later)

    assert isinstance(answer, DeclineJob)
    assert answer.receipts == []


def test_a_class_that_is_not_offered_is_declined_without_receipts(
    alice: Hotkey, at: datetime
) -> None:
    fleet_of_rows.slots()
    other = "always_on.gpu-24gb"

    answer = take(
        examples.offer(alice, at, executor_class=other, receipt={"executor_class": other}),
        alice,
        at,
    )

    assert isinstance(answer, DeclineJob)
    assert (answer.reason, answer.receipts) == (RejectionReason.BUSY, [])


def test_a_blacklisted_validator_is_declined_and_its_receipt_not_stored(
    alice: Hotkey, at: datetime
) -> None:
    fleet_of_rows.slots()
    BlacklistedValidator.objects.create(hotkey=alice.ss58)

    answer = take(examples.offer(alice, at), alice, at)

    assert isinstance(answer, DeclineJob)
    assert answer.reason == RejectionReason.VALIDATOR_BLACKLISTED
    assert not StoredReceipt.objects.exists()


def test_a_receipt_that_somebody_else_signed_is_declined(
    alice: Hotkey, charlie: Hotkey, at: datetime
) -> None:
    fleet_of_rows.slots()
    offer = examples.offer(alice, at)
    forged = examples.offer(charlie, at).job_started_receipt_signature

    answer = take(offer.model_copy(update={"job_started_receipt_signature": forged}), alice, at)

    assert isinstance(answer, DeclineJob)
    assert answer.reason == RejectionReason.INVALID_RECEIPT


def test_a_signed_offer_that_was_altered_is_declined(alice: Hotkey, at: datetime) -> None:
    fleet_of_rows.slots()
    offer = examples.signed(examples.offer(alice, at), alice)

    answer = take(offer.model_copy(update={"docker_image": "other"}), alice, at)

    assert isinstance(answer, DeclineJob)
    assert answer.reason == RejectionReason.INVALID_SIGNATURE


def test_a_signed_offer_with_members_that_we_do_not_know_is_accepted(
    alice: Hotkey, at: datetime
) -> None:
    fleet_of_rows.slots()
    offer = examples.signed(examples.offer(alice, at), alice)

    assert isinstance(take(offer, alice, at), Attached)


def test_the_same_offer_again_resumes_the_job(alice: Hotkey, at: datetime) -> None:
    fleet_of_rows.slots()
    offer = taken(alice, at)

    answer = take(offer, alice, at + timedelta(hours=1), socket="another")

    assert answer == Attached(offer.job_uuid)
    assert Job.objects.get().socket == "another"
    assert messages.news(offer.job_uuid, 0, "socket", at, live=False).over
    assert len(messages.news(offer.job_uuid, 0, "another", at, live=False).texts) == 1


def test_another_validators_job_cannot_be_resumed(
    alice: Hotkey, charlie: Hotkey, at: datetime
) -> None:
    fleet_of_rows.slots()
    offer = taken(alice, at)
    stolen = examples.offer(charlie, at, job_uuid=offer.job_uuid)

    assert isinstance(take(stolen, charlie, at), GenericError)


def test_a_job_is_passed_on_once_it_is_ready(alice: Hotkey, at: datetime) -> None:
    offer, token = running(alice, at)

    orders = executors.orders(token, {Order.OFFER})

    assert orders.text == encode(examples.start(offer))
    assert kinds(offer) == ["AcceptJob", "ExecutorReady"]


def test_a_second_start_changes_nothing(alice: Hotkey, at: datetime) -> None:
    offer, token = running(alice, at)
    again = examples.start(offer, docker_run_cmd=["false"])

    assert jobs.start(again, encode(again), validator=alice.ss58, at=at) is None

    orders = executors.orders(token, {Order.OFFER})
    assert orders.text == encode(examples.start(offer))


def test_a_job_cannot_start_before_its_executor_is_ready(alice: Hotkey, at: datetime) -> None:
    fleet_of_rows.slots()
    start = examples.start(taken(alice, at))

    fault = jobs.start(start, encode(start), validator=alice.ss58, at=at)

    assert fault == "V0JobRequest is out of order: the job is accepted"


def test_another_validator_cannot_start_a_job(alice: Hotkey, charlie: Hotkey, at: datetime) -> None:
    fleet_of_rows.slots()
    start = examples.start(taken(alice, at))

    fault = jobs.start(start, encode(start), validator=charlie.ss58, at=at)

    assert fault == f"job {start.job_uuid} is not known here"


def test_a_message_out_of_order_is_not_stored(alice: Hotkey, at: datetime) -> None:
    fleet_of_rows.slots()
    offer = taken(alice, at)
    with pytest.raises(OutOfOrder):
        jobs.say(offer.job_uuid, examples.run_of(offer)[0], at)  # type: ignore[arg-type]  # a step

    assert kinds(offer) == ["AcceptJob"]


def test_a_finished_receipt_closes_the_job_and_forgets_its_messages(
    alice: Hotkey, at: datetime
) -> None:
    offer, _token = running(alice, at)
    finish(offer, at)

    jobs.close(examples.finished(offer, alice, at), validator=alice.ss58, at=at)

    assert kinds(offer) == []
    assert (Job.objects.get().closed_at, Job.objects.get().abandoned) == (at, False)
    assert StoredReceipt.objects.filter(receipt_type="JobFinishedReceipt").exists()


def test_a_bad_finished_receipt_closes_nothing(
    alice: Hotkey, charlie: Hotkey, at: datetime
) -> None:
    offer, _token = running(alice, at)
    forged = examples.finished(offer, charlie, at)

    jobs.close(forged, validator=alice.ss58, at=at)
    jobs.close(forged, validator=charlie.ss58, at=at)

    assert Job.objects.get().closed_at is None


def test_a_job_that_the_validator_gave_up_takes_its_executor_with_it(
    alice: Hotkey, at: datetime
) -> None:
    offer, token = running(alice, at)

    jobs.close(examples.finished(offer, alice, at), validator=alice.ss58, at=at)

    assert executors.review(at, warm_starts=0) == [StopExecutor(token)]
    executors.gone(token, at)
    assert Slot.objects.get().lease is None


def test_the_slot_is_free_once_the_executor_is_gone(alice: Hotkey, at: datetime) -> None:
    offer, token = running(alice, at)
    finish(offer, at)
    executors.disconnect(token, at)
    assert executors.review(at, warm_starts=0) == []

    executors.gone(token, at)

    assert Slot.objects.get().lease is None
    assert kinds(offer)[-1] == "JobFinished"


def test_a_lost_executor_fails_its_job(alice: Hotkey, at: datetime) -> None:
    offer, token = running(alice, at)

    executors.disconnect(token, at)

    assert kinds(offer)[-1] == "HordeFailed"
    assert HordeFailureReason.EXECUTOR_DISCONNECTED in Job.objects.get().outcome
    assert executors.review(at, warm_starts=0) == [StopExecutor(token)]


def test_an_executor_that_never_connected_fails_its_job_as_not_spun_up(
    alice: Hotkey, at: datetime
) -> None:
    fleet_of_rows.slots()
    token = fleet_of_rows.executor(at)
    taken(alice, at)

    executors.gone(token, at)

    assert HordeFailureReason.EXECUTOR_SPINUP_FAILED in Job.objects.get().outcome
    assert Slot.objects.get().lease is None


def test_a_validator_that_is_silent_after_acceptance_loses_its_slot(
    alice: Hotkey, at: datetime
) -> None:
    fleet_of_rows.slots()
    token = fleet_of_rows.warm(at)
    offer = taken(alice, at)
    jobs.say(offer.job_uuid, examples.ready(offer), at)
    assert executors.review(at + timedelta(seconds=59), warm_starts=0) == []

    end, stop = executors.review(at + timedelta(seconds=60), warm_starts=0)

    assert isinstance(end, EndJob)
    assert stop == StopExecutor(token)


def test_a_lease_without_executor_is_released_when_its_job_has_ended(
    alice: Hotkey, at: datetime
) -> None:
    fleet_of_rows.slots()
    offer = taken(alice, at)
    failure = HordeFailure(
        reported_by=Participant.MINER,
        reason=HordeFailureReason.EXECUTOR_SPINUP_FAILED,
        message="",
    )
    assert jobs.end(offer.job_uuid, failure, at)

    (measure,) = executors.review(at, warm_starts=0)

    assert isinstance(measure, ReleaseSlot)
    executors.release(measure.slot, measure.job)
    assert Slot.objects.get().lease is None


def test_a_job_ends_once(alice: Hotkey, at: datetime) -> None:
    offer, token = running(alice, at)
    executors.disconnect(token, at)

    executors.gone(token, at)

    assert kinds(offer).count("HordeFailed") == 1
    assert Job.objects.get().state == JobState.ENDED


def test_what_a_dead_executor_had_said_is_heard_before_its_job_is_given_up(
    alice: Hotkey, at: datetime
) -> None:
    offer, token = running(alice, at)

    executors.gone(token, at)
    assert kinds(offer) == ["AcceptJob", "ExecutorReady"]

    executors.gone(token, at + timedelta(seconds=executors.UNHEARD_SECONDS))
    assert kinds(offer) == ["AcceptJob", "ExecutorReady", "HordeFailed"]


def test_the_slot_of_a_job_that_ended_is_free_before_its_executor_is_gone(
    alice: Hotkey, at: datetime
) -> None:
    offer, token = running(alice, at)
    ending = HordeFailed(
        job_uuid=offer.job_uuid, reported_by="executor", reason="generic_error", message=""
    )

    jobs.say(offer.job_uuid, ending, at)

    assert Slot.objects.get().lease is None
    assert Executor.objects.get(token=token).deadline == at + timedelta(seconds=EXIT_SECONDS)


def test_messages_are_forgotten_an_hour_after_the_end(alice: Hotkey, at: datetime) -> None:
    offer, token = running(alice, at)
    executors.disconnect(token, at)
    executors.gone(token, at)

    jobs.forget_old(at + timedelta(minutes=61))

    assert kinds(offer) == []
    assert Job.objects.get().closed_at is not None


def test_jobs_are_forgotten_after_two_days(alice: Hotkey, at: datetime) -> None:
    _offer, token = running(alice, at)
    executors.disconnect(token, at)
    executors.gone(token, at)

    assert jobs.forget_old(at + timedelta(days=3)) == 1
    assert executors.forget_old(at + timedelta(days=3)) == 1


def test_a_job_whose_socket_is_gone_is_found_again(alice: Hotkey, at: datetime) -> None:
    fleet_of_rows.slots()
    offer = taken(alice, at)
    assert messages.without_socket(alice.ss58, at) == []

    messages.detach("socket")

    assert messages.without_socket(alice.ss58, at) == [offer.job_uuid]


def test_a_socket_that_died_with_its_process_is_noticed(alice: Hotkey, at: datetime) -> None:
    fleet_of_rows.slots()
    offer = taken(alice, at)

    assert messages.without_socket(alice.ss58, at + timedelta(minutes=1)) == [offer.job_uuid]


def test_fewer_slots_are_offered_when_the_operator_says_so(alice: Hotkey, at: datetime) -> None:
    fleet_of_rows.slots(2)
    taken(alice, at)

    executors.ensure_slots({})

    assert [slot.offered for slot in Slot.objects.all()] == [False]
    assert isinstance(take(examples.offer(alice, at), alice, at), DeclineJob)


@pytest.mark.django_db(transaction=True)
def test_of_many_offers_for_one_slot_one_is_accepted(alice: Hotkey, at: datetime) -> None:
    fleet_of_rows.slots()
    offers = [examples.offer(alice, at) for _ in range(6)]

    with ThreadPoolExecutor(len(offers)) as threads:
        answers = list(threads.map(lambda offer: in_thread(offer, alice, at), offers))

    assert sorted(type(answer).__name__ for answer in answers) == [
        "Attached",
        *["DeclineJob"] * 5,
    ]
    assert Job.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_many_offers_for_as_many_slots_none_is_declined(alice: Hotkey, at: datetime) -> None:
    fleet_of_rows.slots(6)
    offers = [examples.offer(alice, at) for _ in range(6)]

    with ThreadPoolExecutor(len(offers)) as threads:
        answers = list(threads.map(lambda offer: in_thread(offer, alice, at), offers))

    assert {type(answer).__name__ for answer in answers} == {"Attached"}


@pytest.mark.django_db(transaction=True)
def test_one_offer_on_many_sockets_makes_one_job(alice: Hotkey, at: datetime) -> None:
    fleet_of_rows.slots(6)
    offer = examples.offer(alice, at)

    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda _: in_thread(offer, alice, at), range(6)))

    assert set(answers) == {Attached(offer.job_uuid)}
    assert Slot.objects.exclude(lease=None).count() == 1


def in_thread(offer: OfferJob, validator: Hotkey, at: datetime) -> Answer:
    try:
        return take(offer, validator, at)
    finally:
        connection.close()


def test_executors_are_not_started_twice_in_a_slot(at: datetime) -> None:
    fleet_of_rows.slots()
    fleet_of_rows.executor(at)

    with pytest.raises(AssertionError):
        fleet_of_rows.executor(at)

    assert Executor.objects.count() == 1

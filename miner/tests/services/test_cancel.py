from datetime import datetime, timedelta

import pytest

from compute_horde_common.chain.keys import Hotkey
from compute_horde_common.jobs.failures import JobFailureReason
from compute_horde_common.protocol.base import encode
from compute_horde_common.protocol.live import CancelJob
from compute_horde_common.protocol.validator_miner import JobFailedReport, OfferJob
from miner.domain.progress import JobState, OutOfOrder
from miner.domain.slots import EndJob, ExecutorState, ReleaseSlot, StopExecutor
from miner.models import Executor, Job, Slot
from miner.services import executors, jobs
from miner.services.executors import Order, Orders
from tests import examples, fleet_of_rows
from tests.jobs_of_rows import finish, kinds, running, said, taken

pytestmark = pytest.mark.django_db


def cancel(offer: OfferJob, validator: Hotkey, at: datetime) -> str | None:
    return jobs.cancel(offer.job_uuid, validator=validator.ss58, at=at)


def ending(offer: OfferJob) -> JobFailedReport:
    return JobFailedReport.model_validate_json(said(offer)[-1][1])


def test_a_job_whose_executor_is_not_up_ends_at_once_and_its_executor_is_stopped(
    alice: Hotkey, at: datetime
) -> None:
    fleet_of_rows.slots()
    token = fleet_of_rows.executor(at)
    offer = taken(alice, at)

    assert cancel(offer, alice, at) is None

    assert ending(offer) == examples.cancelled(offer)
    assert executors.review(at, warm_starts=0) == [StopExecutor(token)]
    executors.gone(token, at)
    assert Slot.objects.get().lease is None


def test_a_job_without_any_executor_ends_at_once_and_its_slot_is_free(
    alice: Hotkey, at: datetime
) -> None:
    fleet_of_rows.slots()
    offer = taken(alice, at)

    assert cancel(offer, alice, at) is None

    assert ending(offer) == examples.cancelled(offer)
    assert executors.review(at, warm_starts=0) == [
        ReleaseSlot(Slot.objects.get().id, offer.job_uuid)
    ]


def test_an_executor_that_connects_after_the_cancellation_is_sent_away(
    alice: Hotkey, at: datetime
) -> None:
    fleet_of_rows.slots()
    token = fleet_of_rows.executor(at)
    offer = taken(alice, at)
    cancel(offer, alice, at)

    assert executors.connect(token, at, job_control=True)

    assert executors.orders(token, set()) == Orders(offer.job_uuid, None, "", over=True)


def test_an_executor_that_understands_is_told_once_and_the_job_goes_on_until_it_reports(
    alice: Hotkey, at: datetime
) -> None:
    offer, token = running(alice, at, job_control=True)

    assert cancel(offer, alice, at) is None

    told = {Order.OFFER, Order.START}
    text = encode(CancelJob(job_uuid=offer.job_uuid))
    assert executors.orders(token, told) == Orders(offer.job_uuid, Order.CANCEL, text, over=False)
    assert executors.orders(token, told | {Order.CANCEL}).order is None
    assert Job.objects.get().state == JobState.STARTED
    assert executors.review(at, warm_starts=0) == []


def test_the_offer_comes_before_the_cancellation(alice: Hotkey, at: datetime) -> None:
    fleet_of_rows.slots()
    token = fleet_of_rows.warm(at, job_control=True)
    offer = taken(alice, at)
    cancel(offer, alice, at)

    order = [executors.orders(token, told).order for told in (set(), {Order.OFFER})]

    assert order == [Order.OFFER, Order.CANCEL]


def test_the_executors_report_of_a_cancellation_frees_the_slot(alice: Hotkey, at: datetime) -> None:
    offer, _token = running(alice, at, job_control=True)
    cancel(offer, alice, at)
    report = examples.cancelled(offer, stage="execution", docker_process_stdout="half")

    jobs.say(offer.job_uuid, report, at)

    assert ending(offer) == report
    assert Slot.objects.get().lease is None
    assert not Job.objects.get().abandoned


def test_a_job_that_ends_well_in_spite_of_a_cancellation_is_finished(
    alice: Hotkey, at: datetime
) -> None:
    offer, _token = running(alice, at, job_control=True)
    cancel(offer, alice, at)

    finish(offer, at)

    assert kinds(offer)[-1] == "JobFinished"
    assert Job.objects.get().outcome == "finished"


def test_without_a_report_in_time_the_job_is_cancelled_and_its_executor_stopped(
    alice: Hotkey, at: datetime
) -> None:
    offer, token = running(alice, at, job_control=True)
    cancel(offer, alice, at)
    due = at + timedelta(seconds=12)
    assert executors.review(due - timedelta(seconds=1), warm_starts=0) == []

    end, stop = executors.review(due, warm_starts=0)

    assert isinstance(end, EndJob)
    assert jobs.end(end.job, end.failure, due)
    assert ending(offer) == examples.cancelled(offer, stage="volume_download")
    assert stop == StopExecutor(token)


def test_a_late_report_of_a_cancellation_is_refused(alice: Hotkey, at: datetime) -> None:
    offer, token = running(alice, at, job_control=True)
    cancel(offer, alice, at)
    executors.gone(token, at)
    executors.gone(token, at + timedelta(seconds=executors.UNHEARD_SECONDS))

    with pytest.raises(OutOfOrder):
        jobs.say(offer.job_uuid, examples.cancelled(offer), at)

    assert kinds(offer).count("JobFailedReport") == 1


def test_an_executor_that_cannot_be_told_is_stopped_and_the_job_ends_at_once(
    alice: Hotkey, at: datetime
) -> None:
    offer, token = running(alice, at)

    assert cancel(offer, alice, at) is None

    assert ending(offer) == examples.cancelled(offer, stage="volume_download")
    assert executors.orders(token, set()).over
    assert executors.review(at, warm_starts=0) == [StopExecutor(token)]


@pytest.mark.parametrize("lose", [executors.disconnect, executors.gone])
def test_a_cancelled_job_whose_executor_is_lost_is_cancelled(
    alice: Hotkey, at: datetime, lose: type
) -> None:
    offer, token = running(alice, at, job_control=True)
    cancel(offer, alice, at)

    lose(token, at)
    executors.gone(token, at + timedelta(seconds=executors.UNHEARD_SECONDS))

    assert ending(offer).reason == JobFailureReason.CANCELLED
    assert Slot.objects.get().lease is None


def test_a_second_cancellation_changes_nothing(alice: Hotkey, at: datetime) -> None:
    offer, _token = running(alice, at, job_control=True)
    cancel(offer, alice, at)
    before = Job.objects.values().get()

    assert cancel(offer, alice, at + timedelta(seconds=5)) is None

    assert Job.objects.values().get() == before


def test_the_cancellation_of_a_job_that_has_ended_changes_nothing(
    alice: Hotkey, at: datetime
) -> None:
    offer, _token = running(alice, at, job_control=True)
    finish(offer, at)
    before = Job.objects.values().get()

    assert cancel(offer, alice, at) is None

    assert Job.objects.values().get() == before


def test_another_validator_cannot_cancel_a_job(
    alice: Hotkey, charlie: Hotkey, at: datetime
) -> None:
    offer, _token = running(alice, at)

    assert cancel(offer, charlie, at) == f"job {offer.job_uuid} is not known here"

    assert Job.objects.get().cancel_requested_at is None


def test_a_job_that_nobody_knows_cannot_be_cancelled(alice: Hotkey, at: datetime) -> None:
    offer = examples.offer(alice, at)

    assert cancel(offer, alice, at) == f"job {offer.job_uuid} is not known here"


def test_a_cancelled_job_is_not_started_any_more(alice: Hotkey, at: datetime) -> None:
    fleet_of_rows.slots()
    token = fleet_of_rows.warm(at, job_control=True)
    offer = taken(alice, at)
    cancel(offer, alice, at)
    jobs.say(offer.job_uuid, examples.ready(offer), at)
    start = examples.start(offer)

    assert jobs.start(start, encode(start), validator=alice.ss58, at=at) is None

    assert executors.orders(token, {Order.OFFER, Order.CANCEL}).order is None
    assert Job.objects.get().deadline == at + jobs.CANCEL_LIMIT


def test_the_executor_of_a_cancelled_job_gets_no_other(alice: Hotkey, at: datetime) -> None:
    fleet_of_rows.slots(2)
    token = fleet_of_rows.warm(at, job_control=True)
    cancel(taken(alice, at), alice, at)

    taken(alice, at)

    assert Executor.objects.get(token=token).state == ExecutorState.ASSIGNED
    assert Slot.objects.exclude(lease=None).count() == 2

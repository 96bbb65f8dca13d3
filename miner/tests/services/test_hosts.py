from datetime import datetime, timedelta

import pytest
from structlog.testing import capture_logs

from compute_horde_common.chain.keys import Hotkey
from compute_horde_common.jobs.failures import HordeFailureReason
from compute_horde_common.protocol.base import encode
from compute_horde_common.protocol.validator_miner import DeclineJob
from miner.domain.slots import ExecutorState, OfferAgain, StartExecutor, StopExecutor
from miner.models import Job, Slot
from miner.services import executors, hosts, jobs
from tests import examples, fleet_of_rows
from tests.jobs_of_rows import kinds, running, taken

pytestmark = pytest.mark.django_db

REASONS = ["the driver is 470.1, at least 525 is needed", "there is no disk left"]
MINUTE = timedelta(minutes=1)


def unfit(at: datetime, index: int = 0) -> str:
    """An executor that found its host unfit; returns its token."""
    token = fleet_of_rows.warm(at, index, job_control=True)
    assert hosts.note_unfit(token, REASONS, at) is None
    return token


def test_an_unfit_host_is_not_offered_and_says_why(at: datetime) -> None:
    fleet_of_rows.slots(2)

    unfit(at)

    slot = Slot.objects.get(index=0)
    assert (slot.unfit, slot.unfit_at) == ("\n".join(REASONS), at)
    assert hosts.fit({examples.CLASS: 2, "always_on.gpu-24gb": 1}) == {
        examples.CLASS: 1,
        "always_on.gpu-24gb": 1,
    }


def test_a_class_without_a_fit_host_is_not_in_the_manifest(at: datetime) -> None:
    fleet_of_rows.slots()

    unfit(at)

    assert hosts.fit({examples.CLASS: 1}) == {}


def test_an_unfit_host_gets_no_job(alice: Hotkey, at: datetime) -> None:
    fleet_of_rows.slots()
    unfit(at)
    offer = examples.offer(alice, at)

    answer = jobs.take(offer, encode(offer), validator=alice.ss58, socket="socket", at=at)

    assert isinstance(answer, DeclineJob)


def test_a_job_that_has_an_unfit_host_fails_as_not_spun_up(alice: Hotkey, at: datetime) -> None:
    fleet_of_rows.slots()
    token = fleet_of_rows.warm(at)
    offer = taken(alice, at)

    assert hosts.note_unfit(token, REASONS, at) is None

    assert kinds(offer) == ["AcceptJob", "HordeFailed"]
    assert HordeFailureReason.EXECUTOR_SPINUP_FAILED in Job.objects.get().outcome
    assert executors.review(at, warm_starts=0) == [StopExecutor(token)]
    executors.gone(token, at)
    assert Slot.objects.get().lease is None


def test_a_host_cannot_become_unfit_under_a_job(alice: Hotkey, at: datetime) -> None:
    _offer, token = running(alice, at)

    assert hosts.note_unfit(token, REASONS, at) == "that comes too late: there is a job"

    assert Slot.objects.get().unfit == ""


def test_an_executor_that_is_gone_before_it_is_heard_is_heard_all_the_same(at: datetime) -> None:
    fleet_of_rows.slots()
    token = fleet_of_rows.warm(at)
    executors.gone(token, at)

    assert hosts.note_unfit(token, ["a\0b"], at) is None

    assert Slot.objects.get().unfit == "ab"
    assert fleet_of_rows.state_of(token) == ExecutorState.GONE


def test_only_executors_speak_of_hosts(at: datetime) -> None:
    assert hosts.note_unfit("another", REASONS, at) == "this executor is not known"


def test_the_executor_of_an_unfit_host_is_let_go(at: datetime) -> None:
    fleet_of_rows.slots()

    token = unfit(at)

    assert executors.orders(token, set()).over
    assert fleet_of_rows.state_of(token) == ExecutorState.LEAVING


def test_a_host_is_looked_at_again_after_a_minute(at: datetime) -> None:
    fleet_of_rows.slots()
    executors.gone(unfit(at), at)
    slot = Slot.objects.get().id

    early = executors.review(at + timedelta(seconds=59), warm_starts=1)
    due = executors.review(at + MINUTE, warm_starts=1)

    assert (early, due) == ([], [StartExecutor(slot, examples.CLASS, None)])


def test_a_host_on_which_an_executor_waits_is_offered_again(alice: Hotkey, at: datetime) -> None:
    fleet_of_rows.slots()
    executors.gone(unfit(at), at)
    fleet_of_rows.warm(at + MINUTE)
    assert executors.review(at + MINUTE, warm_starts=1) == []

    (again,) = executors.review(at + MINUTE + timedelta(seconds=5), warm_starts=1)

    assert isinstance(again, OfferAgain)
    hosts.offer_again(again.slot, again.unfit_at)
    assert hosts.fit({examples.CLASS: 1}) == {examples.CLASS: 1}
    taken(alice, at + MINUTE)


def test_a_host_that_was_found_unfit_meanwhile_is_not_offered_again(at: datetime) -> None:
    fleet_of_rows.slots()
    executors.gone(unfit(at), at)
    unfit(at + MINUTE)

    hosts.offer_again(Slot.objects.get().id, at)

    assert hosts.fit({examples.CLASS: 1}) == {}


def test_the_same_reasons_are_logged_once(at: datetime) -> None:
    fleet_of_rows.slots()

    with capture_logs() as logs:
        executors.gone(unfit(at), at)
        executors.gone(unfit(at + MINUTE), at + MINUTE)

    (error,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert error["reasons"] == "\n".join(REASONS)

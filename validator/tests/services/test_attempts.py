from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from compute_horde_common.chain.interface import Address, Metagraph, Neuron
from compute_horde_common.chain.keys import Hotkey, verify
from compute_horde_common.contrib.django.models import StoredReceipt
from compute_horde_common.jobs.failures import HordeFailure, JobFailed
from compute_horde_common.jobs.lifecycle import JobStatus
from compute_horde_common.jobs.timing import Deadline
from compute_horde_common.protocol.facilitator_validator import StatusMetadata
from compute_horde_common.protocol.validator_miner import TRUSTED_MINER_HOTKEY
from tests.samples import MakeRequest
from validator.domain.assignments import Assignment, JobCase, Terms, TrustedMiner
from validator.domain.phases import Phase, Progress
from validator.domain.routing import Choice, Obstacle
from validator.models import Attempt, Job
from validator.services import attempts, jobs, subnet

pytestmark = pytest.mark.django_db
Take = Callable[..., JobCase]
Assign = Callable[..., Any]
LOST = HordeFailure(reported_by="miner", reason="executor_disconnected", message="")


@pytest.fixture
def miners(at: datetime) -> None:
    """Two miners that offer one executor each."""
    neurons = tuple(
        Neuron(uid, name, "cold", 0.0, Address(f"8.8.8.{uid}", 8000), False, 0)
        for uid, name in enumerate(("one", "two"))
    )
    subnet.store_metagraph(Metagraph(12, 1, "0x", neurons), at)
    for name in ("one", "two"):
        subnet.store_manifest(name, {"always_on.test": 1}, at)


@pytest.fixture
def take(alice: Hotkey, make_request: MakeRequest, at: datetime) -> Take:
    numbers = iter(range(100))

    def make(**fields: object) -> JobCase:
        request = make_request(alice, timestamp_ns=next(numbers), **fields)
        case = jobs.take(request, own=alice.ss58, verify=verify, at=at)
        assert case is not None
        return case

    return make


@pytest.fixture
def assign(terms: Terms, alice: Hotkey, at: datetime) -> Assign:
    return lambda case, terms=terms: attempts.assign(case, terms, alice, at)


def test_jobs_are_spread_over_the_free_executors(miners: None, take: Take, assign: Assign) -> None:
    found = [assign(take()), assign(take())]

    assert {job.miner_hotkey for job in found} == {"one", "two"}


def test_a_third_job_finds_both_busy(miners: None, take: Take, assign: Assign) -> None:
    assign(take())
    assign(take())

    choice = assign(take())

    assert isinstance(choice, Choice)
    assert choice.passed_over == {"one": Obstacle.ALL_BUSY, "two": Obstacle.ALL_BUSY}


def test_a_miner_is_free_again_once_the_attempt_is_given_up(
    miners: None, take: Take, assign: Assign, alice: Hotkey, at: datetime
) -> None:
    assign(take())
    attempts.give_up(assign(take()), LOST, alice, at)

    assert isinstance(assign(take()), Assignment)


def test_a_job_is_not_offered_twice_to_a_miner(
    miners: None, take: Take, assign: Assign, alice: Hotkey, at: datetime
) -> None:
    case = take()
    attempts.give_up(first := assign(case), LOST, alice, at)

    assert assign(case).miner_hotkey != first.miner_hotkey


def test_a_private_address_is_dialled_only_where_that_is_allowed(
    take: Take, assign: Assign, terms: Terms, at: datetime
) -> None:
    neuron = Neuron(0, "home", "cold", 0.0, Address("192.168.1.5", 8000), False, 0)
    subnet.store_metagraph(Metagraph(12, 1, "0x", (neuron,)), at)
    case = take()

    assert assign(case).passed_over == {"home": Obstacle.PRIVATE_ADDRESS}
    assert assign(case, replace(terms, allow_private=True)).miner_hotkey == "home"


def test_a_job_for_a_trusted_miner_goes_there(take: Take, assign: Assign, terms: Terms) -> None:
    job = assign(take(on_trusted_miner=True), replace(terms, trusted_miner=TrustedMiner("host", 9)))

    assert (job.miner_hotkey, job.host, job.port) == (TRUSTED_MINER_HOTKEY, "host", 9)


def test_without_a_trusted_miner_its_jobs_are_rejected(take: Take, assign: Assign) -> None:
    with pytest.raises(JobFailed, match="TRUSTED_MINER_ADDRESS") as caught:
        assign(take(on_trusted_miner=True))

    assert caught.value.failure.reason == "no_miner_for_job"


def test_an_open_attempt_is_resumed_as_it_was(
    miners: None, take: Take, assign: Assign, terms: Terms, at: datetime
) -> None:
    case = take()
    job = assign(case)

    assert attempts.resume(case, terms, at) == job


def test_a_resumed_attempt_knows_its_phase_and_deadline(
    miners: None, take: Take, assign: Assign, terms: Terms, at: datetime
) -> None:
    case = take()
    job = assign(case)
    progress = Progress(Phase.EXECUTION, Deadline(at + timedelta(seconds=60)))
    attempts.record(job, JobStatus.VOLUMES_READY, progress, at)

    assert attempts.resume(case, terms, at) == replace(job, progress=progress)


def test_an_overdue_attempt_gets_a_moment_to_show_its_result(
    miners: None, take: Take, assign: Assign, terms: Terms, at: datetime
) -> None:
    case = take()
    attempts.record(assign(case), JobStatus.ACCEPTED, Progress(Phase.READINESS, Deadline(at)), at)
    later = at + timedelta(hours=1)

    resumed = attempts.resume(case, terms, later)

    assert resumed is not None
    assert resumed.progress is not None
    assert resumed.progress.deadline.left(later) == attempts.GRACE_SECONDS


def test_a_job_without_an_open_attempt_is_routed_anew(
    take: Take, terms: Terms, at: datetime
) -> None:
    assert attempts.resume(take(), terms, at) is None


def test_a_completed_job_has_its_receipt_and_owes_the_miner_one(
    miners: None, take: Take, assign: Assign, alice: Hotkey, at: datetime
) -> None:
    job = assign(take())
    receipt = attempts.complete(job, StatusMetadata(), alice, at + timedelta(seconds=2))

    assert receipt.payload.time_took_us == 2_000_000
    assert Job.objects.get().status == JobStatus.COMPLETED
    assert [farewell.receipt for farewell in attempts.farewells_due(at)] == [receipt]
    assert set(StoredReceipt.objects.values_list("receipt_type", flat=True)) == {
        "JobStartedReceipt",
        "JobFinishedReceipt",
    }


def test_a_farewell_that_was_said_is_not_due(
    miners: None, take: Take, assign: Assign, alice: Hotkey, at: datetime
) -> None:
    job = assign(take())
    attempts.complete(job, StatusMetadata(), alice, at)
    attempts.said_farewell(job.attempt)

    assert attempts.farewells_due(at) == []


def test_the_receipts_of_the_last_miner_count(
    miners: None, take: Take, assign: Assign, alice: Hotkey, at: datetime
) -> None:
    case = take()
    attempts.give_up(assign(case), LOST, alice, at)
    second = assign(case)
    attempts.complete(second, StatusMetadata(), alice, at)

    kept = StoredReceipt.objects.get(receipt_type="JobFinishedReceipt")
    assert (kept.miner_hotkey, '"score_str": "60.000000"' in kept.payload) == (
        second.miner_hotkey,
        True,
    )


def test_an_ended_attempt_does_not_keep_the_offer(
    miners: None, take: Take, assign: Assign, alice: Hotkey, at: datetime
) -> None:
    attempts.give_up(assign(take()), LOST, alice, at)

    assert (Attempt.objects.get().offer, Attempt.objects.get().outcome) == (
        "",
        "executor_disconnected",
    )

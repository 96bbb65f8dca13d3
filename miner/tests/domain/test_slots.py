from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from compute_horde_common.jobs.failures import HordeFailureReason
from miner.domain.progress import JobState
from miner.domain.slots import (
    EndJob,
    Executor,
    ExecutorState,
    Lease,
    OfferAgain,
    ReleaseSlot,
    Slot,
    StartExecutor,
    StopExecutor,
    gpu_share,
    measures,
)

AT = datetime(2026, 1, 1, tzinfo=UTC)
LATER = AT + timedelta(seconds=100)
PAST = AT - timedelta(seconds=100)
WARM = "always_on.test"
COLD = "spin_up-4min.gpu-24gb"

FREE = Slot(1, WARM, offered=True, lease=None, executor=None)
LEASE = Lease("job", JobState.ACCEPTED, LATER, LATER, ended_at=None, abandoned=False)
ENDED = replace(LEASE, state=JobState.ENDED, ended_at=AT)
STARTING = Executor("token", ExecutorState.STARTING, LATER, job=None)
WAITING = Executor("token", ExecutorState.WAITING, None, job=None)
ASSIGNED = Executor("token", ExecutorState.ASSIGNED, None, job="job")
LEAVING = Executor("token", ExecutorState.LEAVING, LATER, job="job")

UNFIT = replace(FREE, unfit_at=AT - timedelta(seconds=60))
CONTENT = replace(WAITING, connected_at=AT - timedelta(seconds=5))

NOTHING: list[object] = []
STOP = [StopExecutor("token")]


@pytest.mark.parametrize(
    ("slot", "expected"),
    [
        (FREE, [StartExecutor(1, WARM, None)]),
        (replace(FREE, executor_class=COLD), NOTHING),
        (replace(FREE, offered=False), NOTHING),
        (replace(FREE, lease=LEASE), [StartExecutor(1, WARM, "job")]),
        (replace(FREE, lease=ENDED), [ReleaseSlot(1, "job")]),
        (replace(FREE, executor=STARTING), NOTHING),
        (replace(FREE, executor=replace(STARTING, deadline=PAST)), STOP),
        (replace(FREE, executor=WAITING), NOTHING),
        (replace(FREE, executor=WAITING, offered=False), STOP),
        (replace(FREE, executor=ASSIGNED, lease=LEASE), NOTHING),
        (replace(FREE, executor=WAITING, lease=LEASE), STOP),
        (replace(FREE, executor=ASSIGNED), STOP),
        (replace(FREE, executor=ASSIGNED, lease=ENDED), NOTHING),
        (replace(FREE, executor=ASSIGNED, lease=replace(ENDED, ended_at=PAST)), STOP),
        (replace(FREE, executor=ASSIGNED, lease=replace(ENDED, abandoned=True)), STOP),
        (replace(FREE, executor=LEAVING, lease=ENDED), NOTHING),
        (replace(FREE, executor=replace(LEAVING, deadline=AT), lease=ENDED), STOP),
        (UNFIT, [StartExecutor(1, WARM, None)]),
        (replace(UNFIT, executor_class=COLD), [StartExecutor(1, COLD, None)]),
        (replace(UNFIT, unfit_at=AT - timedelta(seconds=59)), NOTHING),
        (replace(UNFIT, offered=False), NOTHING),
        (replace(UNFIT, executor=STARTING), NOTHING),
        (replace(UNFIT, executor=replace(WAITING, connected_at=AT)), NOTHING),
        (replace(UNFIT, executor=CONTENT), [OfferAgain(1, AT - timedelta(seconds=60))]),
        (replace(UNFIT, executor=replace(LEAVING, connected_at=PAST)), NOTHING),
        (replace(FREE, executor=CONTENT), NOTHING),
    ],
)
def test_each_slot_gets_what_it_lacks(slot: Slot, expected: list[object]) -> None:
    assert measures([slot], at=AT, warm_starts=1) == expected


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (JobState.ACCEPTED, HordeFailureReason.EXECUTOR_SPINUP_FAILED),
        (JobState.READY, HordeFailureReason.GENERIC_ERROR),
        (JobState.VOLUMES, HordeFailureReason.UNHANDLED_TIMEOUT),
    ],
)
def test_a_job_out_of_time_ends_and_takes_its_executor_with_it(
    state: JobState, reason: HordeFailureReason
) -> None:
    slot = replace(FREE, lease=replace(LEASE, state=state, deadline=AT), executor=ASSIGNED)

    end, stop = measures([slot], at=AT, warm_starts=1)

    assert isinstance(end, EndJob)
    assert end.failure.reason == reason
    assert stop == StopExecutor("token")


def test_a_lease_ends_even_if_the_jobs_own_deadline_is_later() -> None:
    slot = replace(FREE, lease=replace(LEASE, expires=AT))

    assert [type(found) for found in measures([slot], at=AT, warm_starts=1)] == [
        EndJob,
        ReleaseSlot,
    ]


def test_few_idle_executors_start_at_once_and_those_for_jobs_always() -> None:
    starting = replace(FREE, executor=STARTING)
    leased = replace(FREE, id=3, lease=LEASE)

    found = measures([starting, replace(FREE, id=2), leased], at=AT, warm_starts=1)

    assert found == [StartExecutor(3, WARM, "job")]


def test_a_class_that_does_not_come_up_is_started_for_jobs_only() -> None:
    leased = replace(FREE, id=2, lease=LEASE)

    found = measures([FREE, leased], at=AT, warm_starts=9, held_back=[WARM])

    assert found == [StartExecutor(2, WARM, "job")]


GPU_SLOTS = {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("class_name", "index", "share"),
    [
        ("a", 0, ["0"]),
        ("b", 0, ["1"]),
        ("b", 1, ["2", "3"]),
        ("b", 9, ["2", "3"]),
        ("without", 0, []),
    ],
)
def test_slots_share_out_the_gpus(class_name: str, index: int, share: list[str]) -> None:
    assert list(gpu_share(["0", "1", "2", "3"], GPU_SLOTS, class_name, index)) == share


def test_without_a_list_of_gpus_nothing_is_shared_out() -> None:
    assert list(gpu_share([], GPU_SLOTS, "a", 0)) == []


def test_the_executor_of_a_slot_is_started_with_the_slots_index() -> None:
    assert measures([replace(FREE, index=3)], at=AT, warm_starts=1) == [
        StartExecutor(1, WARM, None, 3)
    ]

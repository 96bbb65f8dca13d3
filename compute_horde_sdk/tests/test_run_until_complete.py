import asyncio
from datetime import timedelta
from itertools import pairwise

import httpx
import pytest

from compute_horde_common.clock import HandWoundClock
from compute_horde_sdk.v1 import (
    ComputeHordeAPIError,
    ComputeHordeClient,
    ComputeHordeJob,
    ComputeHordeJobStatusEntry,
    ComputeHordeJobTimeoutError,
)
from tests.conftest import SpecMaker
from tests.facilitator import Entry, FakeFacilitator
from tests.winding import wound

CREATE = "POST /api/v1/job-docker/"
WELL: list[Entry] = ["sent", "accepted", "completed"]


def ended(status: str, reason: str) -> list[Entry]:
    member = {
        "failed": "job_failure_details",
        "rejected": "job_rejection_details",
        "horde_failed": "horde_failure_details",
    }[status]
    details = {"reason": reason, "message": "", "reported_by": "validator"}
    return ["sent", {"status": status, "metadata": {member: details}}]


async def test_a_job_that_ends_well_is_run_once(
    client: ComputeHordeClient,
    facilitator: FakeFacilitator,
    spec: SpecMaker,
    clock: HandWoundClock,
) -> None:
    facilitator.plans.append(WELL)

    job = await wound(clock, client.run_until_complete(spec()))

    assert job.status == "completed"
    assert facilitator.calls.count(CREATE) == 1


async def test_what_the_network_got_wrong_is_tried_again(
    client: ComputeHordeClient,
    facilitator: FakeFacilitator,
    spec: SpecMaker,
    clock: HandWoundClock,
) -> None:
    facilitator.plans.extend(
        [ended("rejected", "no_miner_for_job"), ended("horde_failed", "generic_error"), WELL]
    )
    attempts: list[str] = []

    def callback(job: ComputeHordeJob) -> None:
        attempts.append(job.uuid)
        assert job.status == "sent"

    job = await wound(clock, client.run_until_complete(spec(), job_attempt_callback=callback))

    assert job.status == "completed"
    assert attempts == list(facilitator.jobs)
    assert len(attempts) == 3


@pytest.mark.parametrize(
    "end",
    [
        ended("failed", "nonzero_return_code"),
        ended("failed", "timeout"),
        ended("failed", "upload_failed"),
        ended("failed", "download_failed"),
        ended("failed", "cancelled"),
        ["sent", "failed"],
        ended("rejected", "invalid_signature"),
    ],
    ids=str,
)
async def test_what_the_job_got_wrong_is_returned(
    client: ComputeHordeClient,
    facilitator: FakeFacilitator,
    spec: SpecMaker,
    clock: HandWoundClock,
    end: list[Entry],
) -> None:
    facilitator.plans.append(end)

    job = await wound(clock, client.run_until_complete(spec()))

    assert job.status.is_failed()
    assert facilitator.calls.count(CREATE) == 1


@pytest.mark.parametrize(("attempts", "made"), [(3, 3), (1, 1), (5, 5), (0, 9), (-1, 9)])
async def test_no_more_jobs_are_made_than_allowed(
    client: ComputeHordeClient,
    facilitator: FakeFacilitator,
    spec: SpecMaker,
    clock: HandWoundClock,
    attempts: int,
    made: int,
) -> None:
    facilitator.plans.extend(ended("rejected", "busy") for _ in range(8))
    facilitator.plans.append(["sent", "completed"])

    job = await wound(clock, client.run_until_complete(spec(), max_attempts=attempts))

    assert facilitator.calls.count(CREATE) == made
    assert job.status == ("completed" if made == 9 else "rejected")


async def test_the_pause_between_attempts_grows_to_five_seconds(
    client: ComputeHordeClient,
    facilitator: FakeFacilitator,
    spec: SpecMaker,
    clock: HandWoundClock,
) -> None:
    facilitator.plans.extend([["rejected"]] * 9)
    times: list[float] = []

    def callback(_: ComputeHordeJob) -> None:
        times.append(clock.now().timestamp())

    await wound(
        clock, client.run_until_complete(spec(), job_attempt_callback=callback, max_attempts=8)
    )

    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 5, 5], rel=0.15)


async def test_no_attempt_starts_after_the_time(
    client: ComputeHordeClient,
    facilitator: FakeFacilitator,
    spec: SpecMaker,
    clock: HandWoundClock,
) -> None:
    facilitator.plans.extend([["rejected"]] * 99)
    began = clock.now()
    last = began

    def callback(_: ComputeHordeJob) -> None:
        nonlocal last
        last = clock.now()

    work = client.run_until_complete(
        spec(), job_attempt_callback=callback, timeout=4, max_attempts=0
    )
    job = await wound(clock, work)

    assert job.status == "rejected"
    assert last - began < timedelta(seconds=4)
    assert clock.now() - began <= timedelta(seconds=4)


async def test_without_any_time_no_job_is_made(
    client: ComputeHordeClient, facilitator: FakeFacilitator, spec: SpecMaker
) -> None:
    with pytest.raises(ComputeHordeJobTimeoutError):
        await client.run_until_complete(spec(), timeout=0)

    assert facilitator.jobs == {}


async def test_the_time_is_for_all_attempts_together(
    client: ComputeHordeClient,
    facilitator: FakeFacilitator,
    spec: SpecMaker,
    clock: HandWoundClock,
) -> None:
    facilitator.plans.extend([["rejected"], ["sent"]])
    began = clock.now()

    with pytest.raises(ComputeHordeJobTimeoutError) as told:
        await wound(clock, client.run_until_complete(spec(), timeout=3))

    assert told.value.job_uuid == list(facilitator.jobs)[-1]
    assert timedelta(seconds=3) <= clock.now() - began < timedelta(seconds=3.2)


async def test_a_refusal_is_no_failed_attempt(
    client: ComputeHordeClient, facilitator: FakeFacilitator, spec: SpecMaker
) -> None:
    facilitator.trouble.append(httpx.Response(400, text="no"))

    with pytest.raises(ComputeHordeAPIError):
        await client.run_until_complete(spec())

    assert len(facilitator.calls) == 1


async def test_a_coroutine_is_told_of_attempts_too(
    client: ComputeHordeClient,
    facilitator: FakeFacilitator,
    spec: SpecMaker,
    clock: HandWoundClock,
) -> None:
    facilitator.plans.append(["completed"])
    told: list[ComputeHordeJob] = []

    async def callback(job: ComputeHordeJob) -> None:
        await asyncio.sleep(0)
        told.append(job)

    job = await wound(clock, client.run_until_complete(spec(), job_attempt_callback=callback))

    assert told == [job]


async def test_attempts_on_the_trusted_miner_say_so(
    client: ComputeHordeClient, facilitator: FakeFacilitator, spec: SpecMaker
) -> None:
    facilitator.plans.append(["completed"])

    await client.run_until_complete(spec(), on_trusted_miner=True)

    assert facilitator.last_body["on_trusted_miner"] is True


async def test_each_status_of_each_attempt_is_told(
    client: ComputeHordeClient,
    facilitator: FakeFacilitator,
    spec: SpecMaker,
    clock: HandWoundClock,
) -> None:
    facilitator.plans.extend([ended("rejected", "busy"), WELL])
    told: list[tuple[str, str]] = []

    def callback(job: ComputeHordeJob, entry: ComputeHordeJobStatusEntry) -> None:
        told.append((job.uuid, entry.status.value))

    await wound(clock, client.run_until_complete(spec(), status_callback=callback))

    first, second = facilitator.jobs
    assert told == [
        *((first, status) for status in ("sent", "rejected")),
        *((second, status) for status in ("sent", "accepted", "completed")),
    ]

import httpx
import pytest

from compute_horde_common.clock import HandWoundClock
from compute_horde_sdk.v1 import (
    ComputeHordeAPIError,
    ComputeHordeCancelError,
    ComputeHordeClient,
    ComputeHordeJobFailure,
    ComputeHordeNotFoundError,
)
from tests.facilitator import FakeFacilitator
from tests.winding import wound


async def test_a_cancelled_job_ends_as_failed_because_it_was_cancelled(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    job = await client.get_job(facilitator.add_job("sent", "received", "accepted").uuid)

    await job.cancel()
    asked, at_once = facilitator.calls[-1], (job.status, job.cancelled)
    await wound(clock, job.wait())

    assert asked == f"POST /api/v1/jobs/{job.uuid}/cancel/"
    assert at_once == ("received", False)
    assert (job.status, job.cancelled) == ("failed", True)
    assert job.error == ComputeHordeJobFailure(
        "cancelled", "The job was cancelled by its author.", stage="execution"
    )


async def test_the_job_is_as_the_answer_says(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    known = facilitator.add_job()
    job = await client.get_job(known.uuid)
    known.history.append("executor_ready")

    await job.cancel()

    assert [entry.status for entry in job.status_history] == ["sent", "executor_ready"]


async def test_a_job_that_cannot_be_cancelled_says_why_and_stays_as_it_was(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    job = await client.get_job(facilitator.add_job("sent", "completed").uuid)

    with pytest.raises(ComputeHordeCancelError) as told:
        await job.cancel()

    assert str(told.value) == f"job {job.uuid} cannot be cancelled: The job has ended."
    assert (told.value.status_code, told.value.body) == (409, '{"detail":"The job has ended."}')
    assert (job.status, job.cancelled) == ("completed", False)


@pytest.mark.parametrize("body", ["it has ended", "[]", '{"other": 1}'])
async def test_a_refusal_in_another_form_is_told_whole(
    client: ComputeHordeClient, facilitator: FakeFacilitator, body: str
) -> None:
    job = await client.get_job(facilitator.add_job().uuid)
    facilitator.trouble.append(httpx.Response(409, text=body))

    with pytest.raises(ComputeHordeCancelError) as told:
        await job.cancel()

    assert str(told.value) == f"job {job.uuid} cannot be cancelled: {body}"


async def test_a_job_of_somebody_else_is_not_found(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    job = await client.get_job(facilitator.add_job().uuid)
    facilitator.jobs.clear()

    with pytest.raises(ComputeHordeNotFoundError):
        await job.cancel()


async def test_any_other_refusal_is_an_api_error(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    job = await client.get_job(facilitator.add_job().uuid)
    facilitator.trouble.append(httpx.Response(400, text="no"))

    with pytest.raises(ComputeHordeAPIError) as told:
        await job.cancel()

    assert not isinstance(told.value, ComputeHordeCancelError)


async def test_a_cancellation_whose_answer_is_lost_is_asked_for_again(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    job = await client.get_job(facilitator.add_job("sent", "received").uuid)
    facilitator.trouble.append(httpx.ReadTimeout("slow"))

    await wound(clock, job.cancel())

    assert facilitator.calls[1:] == [f"POST /api/v1/jobs/{job.uuid}/cancel/"] * 2

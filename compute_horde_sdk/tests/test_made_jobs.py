"""Jobs that a program makes by itself, e.g. because it has kept a uuid."""

from compute_horde_common.clock import HandWoundClock
from compute_horde_sdk.v1 import (
    ComputeHordeClient,
    ComputeHordeJob,
    ComputeHordeJobStatus,
    ComputeHordeJobStatusEntry,
)
from tests.facilitator import NOW, FakeFacilitator


async def test_a_job_may_be_made_with_a_status(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    known = facilitator.add_job("sent", "completed")
    job = ComputeHordeJob(client, known.uuid, status=ComputeHordeJobStatus.SENT, result=None)

    assert job.status_history == [
        ComputeHordeJobStatusEntry(clock.now(), ComputeHordeJobStatus.SENT)
    ]
    await job.refresh_from_facilitator()
    assert job.status == "Completed"


def test_a_history_says_more_than_a_status(client: ComputeHordeClient) -> None:
    history = [ComputeHordeJobStatusEntry(NOW, ComputeHordeJobStatus.FAILED)]

    job = ComputeHordeJob(
        client, "u", status_history=history, status=ComputeHordeJobStatus.COMPLETED
    )

    assert (job.status, job.status_history) == ("failed", history)

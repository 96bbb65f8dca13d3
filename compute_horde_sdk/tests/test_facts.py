from datetime import UTC, datetime

import pytest

from compute_horde_sdk.v1 import ComputeHordeClient, ComputeHordeJob, ComputeHordeJobProgress
from tests.conftest import SpecMaker
from tests.facilitator import NOW, FakeFacilitator

FACTS = (
    "created_at",
    "executor_class",
    "docker_image",
    "job_namespace",
    "args",
    "env",
    "artifacts_dir",
    "limits",
    "inputs",
    "outputs",
    "on_trusted_miner",
    "progress",
    "cancel_requested_at",
)


def facts(job: ComputeHordeJob) -> dict[str, object]:
    return {name: getattr(job, name) for name in FACTS}


async def test_a_job_tells_what_the_facilitator_knows_of_it(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    known = facilitator.add_job()
    known.members = {
        "job_namespace": "SN12.0",
        "args": ["-v"],
        "env": {"A": "1"},
        "artifacts_dir": "/artifacts",
        "download_time_limit": 1,
        "execution_time_limit": 2,
        "upload_time_limit": 3,
        "volumes": [{"volume_type": "single_file"}],
        "uploads": [{"output_upload_type": "single_file_put"}],
        "on_trusted_miner": True,
        "progress": {"percent": 42.5, "text": "epoch 3", "at": "2026-01-01T00:00:07Z"},
        "cancel_requested_at": "2026-01-01T00:00:09Z",
    }

    assert facts(await client.get_job(known.uuid)) == {
        "created_at": NOW,
        "executor_class": "always_on.test",
        "docker_image": "alpine",
        "job_namespace": "SN12.0",
        "args": ["-v"],
        "env": {"A": "1"},
        "artifacts_dir": "/artifacts",
        "limits": {"download": 1, "execution": 2, "upload": 3},
        "inputs": [{"volume_type": "single_file"}],
        "outputs": [{"output_upload_type": "single_file_put"}],
        "on_trusted_miner": True,
        "progress": ComputeHordeJobProgress(42.5, "epoch 3", datetime(2026, 1, 1, 0, 0, 7, 0, UTC)),
        "cancel_requested_at": datetime(2026, 1, 1, 0, 0, 9, 0, UTC),
    }


async def test_what_nobody_says_is_none(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    known = facilitator.add_job()
    known.members = dict.fromkeys(FACTS)

    assert facts(await client.get_job(known.uuid)) == dict.fromkeys(FACTS)
    assert facts(ComputeHordeJob(client, "u")) == dict.fromkeys(FACTS)


@pytest.mark.parametrize("method", ["refresh", "refresh_from_facilitator"])
async def test_refreshing_brings_the_facts_up_to_date(
    client: ComputeHordeClient, facilitator: FakeFacilitator, method: str
) -> None:
    known = facilitator.add_job()
    job = await client.get_job(known.uuid)
    known.members["progress"] = {"percent": 1, "text": "", "at": NOW.isoformat()}

    await getattr(job, method)()

    assert job.progress == ComputeHordeJobProgress(1.0, "", NOW)


async def test_a_created_job_and_a_listed_one_tell_as_much(
    client: ComputeHordeClient, facilitator: FakeFacilitator, spec: SpecMaker
) -> None:
    created = await client.create_job(spec())
    (listed,) = await client.get_jobs()

    assert facts(created) == facts(listed)
    assert created.created_at == NOW

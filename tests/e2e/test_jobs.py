"""What a user sees of jobs that go well, and of jobs that go wrong in each stage."""

import asyncio
import os

import psycopg
import pytest

from compute_horde_devnet.state import NetworkState
from compute_horde_sdk.v1 import (
    ComputeHordeClient,
    ComputeHordeJob,
    ComputeHordeJobStatus,
    ComputeHordeValidationError,
    HTTPInputVolume,
    HTTPOutputVolume,
    InlineInputVolume,
)
from tests.conftest import SECONDS, SpecMaker
from tests.web_server import WebServer

pytestmark = pytest.mark.timeout(240)

HISTORY = [
    "sent",
    "received",
    "accepted",
    "executor_ready",
    "volumes_ready",
    "execution_done",
    "completed",
]


def _seen(job: ComputeHordeJob) -> tuple[str, str, str]:
    """Status, stage and reason of a job that failed."""
    return (
        job.status.value,
        str(getattr(job.error, "stage", "")),
        str(getattr(job.error, "reason", "")),
    )


async def test_a_job_gets_all_it_asked_for(
    client: ComputeHordeClient, spec: SpecMaker, web: WebServer
) -> None:
    web.files["/data"] = b"from the web"
    asked = spec(
        "sh",
        "-c",
        "cat /volume/in/line.txt /volume/data > /artifacts/a; cp /artifacts/a /output/b;"
        ' echo "$X $1"',
        "sh",
        "arg",
        env={"X": "env"},
        artifacts_dir="/artifacts",
        input_volumes={
            "/volume/in/": InlineInputVolume.from_file_contents("line.txt", b"inline, "),
            "/volume/data": HTTPInputVolume(url=f"{web.url}/data"),
        },
        output_volumes={"/output/b": HTTPOutputVolume(http_method="PUT", url=f"{web.url}/b?sig=1")},
    )

    job = await client.create_job(asked)
    await job.wait(timeout=SECONDS)

    assert [entry.status.value for entry in job.status_history] == HISTORY
    assert job.result is not None
    assert (job.result.stdout, job.result.stderr) == ("env arg\n", "")
    assert job.result.artifacts == {"/artifacts/a": b"inline, from the web"}
    assert job.result.upload_results["/output/b"].headers["etag"] == '"tag"'
    assert web.received == {"/b?sig=1": b"inline, from the web"}


async def test_a_result_of_some_megabytes_comes_back(
    client: ComputeHordeClient, spec: SpecMaker
) -> None:
    fill = "head -c 900000 /dev/zero"
    asked = spec(
        "sh",
        "-c",
        f"for i in 1 2 3; do {fill} > /artifacts/$i; done; {fill} | tr '\\0' x",
        artifacts_dir="/artifacts",
    )

    job = await client.create_job(asked)
    await job.wait(timeout=SECONDS)

    assert job.result is not None
    assert job.result.stdout == "x" * 900_000
    assert job.result.artifacts == {f"/artifacts/{i}": bytes(900_000) for i in (1, 2, 3)}


async def test_a_job_that_is_too_large_to_be_passed_on_is_refused(
    client: ComputeHordeClient, spec: SpecMaker
) -> None:
    large = {"/volume/": InlineInputVolume.from_file_contents("noise", os.urandom(1 << 20))}

    with pytest.raises(ComputeHordeValidationError, match="1048576"):
        await client.create_job(spec("true", input_volumes=large))


async def test_a_trusted_job_runs_on_the_trusted_miner(
    client: ComputeHordeClient, spec: SpecMaker
) -> None:
    job = await client.create_job(spec("echo", "trusted"), on_trusted_miner=True)
    await job.wait(timeout=SECONDS)

    assert job.status == ComputeHordeJobStatus.COMPLETED
    assert job.result is not None
    assert job.result.stdout == "trusted\n"


async def test_a_failing_job_shows_exit_status_and_output(
    client: ComputeHordeClient, spec: SpecMaker
) -> None:
    job = await client.create_job(spec("sh", "-c", "echo out; echo err >&2; exit 3"))
    await job.wait(timeout=SECONDS)

    error = job.error
    assert _seen(job) == ("failed", "execution", "nonzero_return_code")
    assert [getattr(error, name, None) for name in ("exit_status", "stdout", "stderr")] == [
        3,
        "out\n",
        "err\n",
    ]


async def test_an_image_that_does_not_exist_is_named(
    client: ComputeHordeClient, spec: SpecMaker
) -> None:
    job = await client.create_job(spec("true", docker_image="compute-horde/no-such-image:1"))
    await job.wait(timeout=SECONDS)

    assert _seen(job) == ("failed", "executor_startup", "download_failed")
    assert "compute-horde/no-such-image:1" in str(job.error)


async def test_an_input_that_is_not_there_fails_the_download(
    client: ComputeHordeClient, spec: SpecMaker, web: WebServer
) -> None:
    volumes = {"/volume/x": HTTPInputVolume(url=f"{web.url}/missing")}
    job = await client.create_job(spec("true", input_volumes=volumes))
    await job.wait(timeout=SECONDS)

    assert _seen(job) == ("failed", "volume_download", "download_failed")
    assert "404" in str(job.error)


async def test_each_stage_ends_at_its_limit(
    client: ComputeHordeClient, spec: SpecMaker, web: WebServer
) -> None:
    limits = {
        "download_time_limit_sec": 1,
        "execution_time_limit_sec": 1,
        "upload_time_limit_sec": 1,
    }
    slow_input = {"/volume/x": HTTPInputVolume(url=f"{web.url}/slow")}
    slow_output = {"/output/x": HTTPOutputVolume(http_method="PUT", url=f"{web.url}/slow")}
    jobs = [
        await client.create_job(spec("true", input_volumes=slow_input, **limits)),
        await client.create_job(spec("sh", "-c", "echo begun; sleep 60", **limits)),
        await client.create_job(spec("touch", "/output/x", output_volumes=slow_output, **limits)),
    ]

    await asyncio.gather(*(job.wait(timeout=SECONDS) for job in jobs))

    assert [_seen(job) for job in jobs] == [
        ("failed", "volume_download", "timeout"),
        ("failed", "execution", "timeout"),
        ("failed", "result_upload", "timeout"),
    ]
    assert getattr(jobs[1].error, "stdout", None) == "begun\n"


async def test_a_job_that_takes_too_much_memory_is_told_so(
    client: ComputeHordeClient, spec: SpecMaker
) -> None:
    job = await client.create_job(spec("sh", "-c", "tail /dev/zero", execution_time_limit_sec=60))
    await job.wait(timeout=SECONDS)

    assert _seen(job) == ("failed", "execution", "nonzero_return_code")
    assert "memory" in str(job.error)


async def test_a_job_that_one_miner_declines_runs_on_the_next(
    client: ComputeHordeClient,
    second_client: ComputeHordeClient,
    spec: SpecMaker,
    state: NetworkState,
) -> None:
    # The second validator fills one miner, of which the first one knows nothing.
    elsewhere = [await second_client.create_job(spec("sleep", "8")) for _ in range(3)]
    for job in elsewhere:
        await _until(job, "volumes_ready")

    # Miners take turns, so one of two jobs is offered to the full one first.
    ours = []
    for _ in range(2):
        ours.append(await client.create_job(spec("echo", "fitted in")))
        await ours[-1].wait(timeout=SECONDS)
    await asyncio.gather(*(job.wait(timeout=SECONDS) for job in elsewhere))

    assert [job.status.value for job in [*ours, *elsewhere]] == ["completed"] * 5
    assert "busy" in _outcomes(state, ours)


def _outcomes(state: NetworkState, jobs: list[ComputeHordeJob]) -> list[str]:
    """How the first validator's attempts at these jobs ended, one for each miner asked."""
    with psycopg.connect(state.validators[0].database_url) as connection:
        rows = connection.execute(
            "SELECT outcome FROM validator_attempt WHERE job_id = ANY(%s::uuid[])",
            [[job.uuid for job in jobs]],
        ).fetchall()
    return [str(outcome) for (outcome,) in rows]


async def _until(job: ComputeHordeJob, status: str) -> None:
    async with asyncio.timeout(SECONDS):
        while status not in {entry.status.value for entry in job.status_history}:
            await job.refresh_from_facilitator()

"""Jobs that their author talks to while they run."""

from pathlib import Path

import httpx
import pytest

from compute_horde_sdk.v1 import (
    ComputeHordeClient,
    ComputeHordeJobFailure,
    ComputeHordeJobStatus,
)
from tests.conftest import SECONDS, SpecMaker
from tests.streaming import SERVER, https_client, https_client_without_certificate

pytestmark = pytest.mark.timeout(240)


async def test_the_author_of_a_streaming_job_talks_to_it_until_it_ends(
    client: ComputeHordeClient, spec: SpecMaker, tmp_path: Path
) -> None:
    asked = spec("sh", "-c", SERVER, streaming=True, streaming_start_time_limit_sec=10)
    job = await client.create_job(asked)
    await job.wait_for_streaming(timeout=SECONDS)

    async with https_client(job, tmp_path) as https:
        health = await https.get("/health")
        echo = await https.post("/cgi-bin/echo", content=b"hello")
        await https.post("/cgi-bin/terminate")
    await job.wait(timeout=SECONDS)

    assert (health.text, echo.text) == ("well\n", "said: hello")
    assert job.status == ComputeHordeJobStatus.COMPLETED
    assert job.result is not None
    assert job.result.stdout == "serving\nstopped\n"
    assert "streaming_ready" in [entry.status.value for entry in job.status_history]


async def test_nobody_else_reaches_a_streaming_job(
    client: ComputeHordeClient, spec: SpecMaker
) -> None:
    asked = spec("sh", "-c", SERVER, streaming=True, streaming_start_time_limit_sec=10)
    job = await client.create_job(asked)
    await job.wait_for_streaming(timeout=SECONDS)

    async with https_client_without_certificate(job) as https:
        with pytest.raises(httpx.TransportError):
            await https.get("/health")

    await job.cancel()
    await job.wait(timeout=SECONDS)
    assert job.status == ComputeHordeJobStatus.FAILED


async def test_a_streaming_job_that_never_gets_healthy_fails(
    client: ComputeHordeClient, spec: SpecMaker
) -> None:
    asked = spec("sleep", "60", streaming=True, streaming_start_time_limit_sec=2)

    job = await client.create_job(asked)
    await job.wait(timeout=SECONDS)

    assert isinstance(job.error, ComputeHordeJobFailure)
    assert (job.error.reason, job.error.stage) == ("timeout", "streaming_startup")

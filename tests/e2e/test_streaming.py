"""Jobs that their author talks to while they run."""

import asyncio
import sys
from pathlib import Path

import httpx
import pytest

from compute_horde_devnet.state import NetworkState
from compute_horde_sdk.v1 import (
    ComputeHordeClient,
    ComputeHordeJobFailure,
    ComputeHordeJobStatus,
)
from tests.conftest import SECONDS, SpecMaker
from tests.streaming import SERVER, https_client_without_certificate

PROGRAM = """
import asyncio, sys

from bittensor_wallet import Wallet
from compute_horde_sdk.v1 import ComputeHordeClient

async def main(url, validator, uuid, path, name, hotkey):
    wallet = Wallet(name=name, hotkey=hotkey, path=path)
    async with ComputeHordeClient(wallet.hotkey, validator, None, url) as client:
        job = await client.get_job(uuid, streaming_key="job.pem")
        await job.wait_for_streaming(timeout=60)
        async with job.http_client() as http:
            print((await http.post("/cgi-bin/echo", content=b"hello")).text)
            await http.post("/cgi-bin/terminate")

asyncio.run(main(*sys.argv[1:]))
"""

pytestmark = pytest.mark.timeout(240)


async def test_the_author_of_a_streaming_job_talks_to_it_until_it_ends(
    client: ComputeHordeClient, spec: SpecMaker
) -> None:
    asked = spec("sh", "-c", SERVER, streaming=True, streaming_start_time_limit_sec=10)
    job = await client.create_job(asked)
    await job.wait_for_streaming(timeout=SECONDS)

    async with job.http_client() as https:
        health = await https.get("/health")
        echo = await https.post("/cgi-bin/echo", content=b"hello")
        await https.post("/cgi-bin/terminate")
    await job.wait(timeout=SECONDS)

    assert (health.text, echo.text) == ("well\n", "said: hello")
    assert job.status == ComputeHordeJobStatus.COMPLETED
    assert job.result is not None
    assert job.result.stdout == "serving\nstopped\n"
    assert "streaming_ready" in [entry.status.value for entry in job.status_history]


async def test_another_program_goes_on_with_the_saved_key(
    client: ComputeHordeClient, state: NetworkState, spec: SpecMaker, tmp_path: Path
) -> None:
    wallet = state.client.wallet
    asked = spec("sh", "-c", SERVER, streaming=True, streaming_start_time_limit_sec=10)
    job = await client.create_job(asked)
    assert job.streaming_key is not None
    job.streaming_key.save(tmp_path / "job.pem")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)

    other = await asyncio.create_subprocess_exec(
        sys.executable,
        str(program),
        client.facilitator_url,
        client.compute_horde_validator_hotkey,
        job.uuid,
        str(wallet.directory),
        wallet.name,
        wallet.hotkey_name,
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await other.communicate()

    await job.wait(timeout=SECONDS)
    assert said == b"said: hello\n"
    assert job.status == ComputeHordeJobStatus.COMPLETED


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

"""Services that take no new work, and what becomes of the work that they have."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from compute_horde_devnet.network import Network
from compute_horde_sdk.v1 import (
    ComputeHordeAPIError,
    ComputeHordeClient,
    ComputeHordeJob,
    ComputeHordeJobTimeoutError,
)
from tests.conftest import SECONDS, SpecMaker

pytestmark = pytest.mark.timeout(240)
Manage = Callable[..., Awaitable[tuple[int | None, list[str]]]]


@pytest.fixture
def manage(network: Network) -> Manage:
    """Runs a management command of a service: its exit status, and the lines that it wrote."""

    async def run(service: str, *arguments: str) -> tuple[int | None, list[str]]:
        web = network.child(f"{service}-web").identity.process()
        assert web is not None
        command = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "django", *arguments),
            env=web.environ(),
            stdout=asyncio.subprocess.PIPE,
        )
        written, _ = await command.communicate()
        return command.returncode, written.decode().splitlines()

    return run


async def _reached(job: ComputeHordeJob, status: str) -> None:
    async with asyncio.timeout(SECONDS):
        while job.status.value != status:
            await job.refresh_from_facilitator()


async def _until_completed(client: ComputeHordeClient, spec: SpecMaker) -> None:
    """Returns when a job runs through again."""
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                job = await client.create_job(spec("true"))
            except ComputeHordeAPIError:
                continue
            await job.wait()
            if job.status.is_successful():
                return


async def test_drained_miners_end_their_jobs_and_take_no_others(
    manage: Manage, client: ComputeHordeClient, spec: SpecMaker
) -> None:
    miners = ("miner-1", "miner-2")
    job = await client.create_job(spec("sh", "-c", "sleep 8; echo delivered"))
    await _reached(job, "volumes_ready")
    drains = [asyncio.ensure_future(manage(miner, "drain", "--wait", "60")) for miner in miners]
    try:
        await asyncio.wait(drains, return_when=asyncio.FIRST_COMPLETED)
        late = await client.create_job(spec("true"))
        await late.wait()
        await job.wait()
        ended = await asyncio.gather(*drains)
    finally:
        for miner in miners:
            await manage(miner, "drain", "--end")

    assert job.result is not None
    assert (job.status.value, job.result.stdout) == ("completed", "delivered\n")
    assert late.status.value == "rejected"
    assert [status for status, _ in ended] == [0, 0]
    assert {written[-1] for _, written in ended} == {"No job runs."}
    assert sum(f"1 job runs: {job.uuid} volumes" in written for _, written in ended) == 1
    await _until_completed(client, spec)


async def test_a_drained_validator_delivers_and_leaves(
    manage: Manage, client: ComputeHordeClient, spec: SpecMaker
) -> None:
    job = await client.create_job(spec("sh", "-c", "sleep 5; echo delivered"))
    await _reached(job, "volumes_ready")
    drain = asyncio.ensure_future(manage("validator-1", "drain", "--wait", "60"))
    try:
        late = await _refused_or_rejected(client, spec)
        await job.wait()
        status, written = await drain
        refused = await _refused(client, spec)
    finally:
        await manage("validator-1", "drain", "--end")

    assert job.result is not None
    assert (job.status.value, job.result.stdout) == ("completed", "delivered\n")
    assert late == "rejected"
    assert (status, written[-1]) == (0, "No job runs.")
    assert "not connected" in refused
    await _until_completed(client, spec)


async def _refused_or_rejected(client: ComputeHordeClient, spec: SpecMaker) -> str:
    """What becomes of the first job that does not run through."""
    async with asyncio.timeout(SECONDS):
        while True:
            job = await client.create_job(spec("true"))
            await job.wait()
            if not job.status.is_successful():
                return job.status.value


async def _refused(client: ComputeHordeClient, spec: SpecMaker) -> str:
    """What the facilitator says once the validator is gone."""
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                job = await client.create_job(spec("true"))
            except ComputeHordeAPIError as refusal:
                return str(refusal)
            # One that was sent in the very moment of leaving waits for the validator's return.
            with suppress(ComputeHordeJobTimeoutError):
                await job.wait(timeout=2)

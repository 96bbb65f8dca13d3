"""Processes are killed while a job runs: no accepted job is lost, no container stays."""

import asyncio
import os
import signal
import subprocess

import psutil
import pytest

from compute_horde_devnet.network import Network
from compute_horde_devnet.processes import wait_until
from compute_horde_sdk.v1 import ComputeHordeAPIError, ComputeHordeClient, ComputeHordeJob
from tests.conftest import SECONDS, SpecMaker, executors

pytestmark = pytest.mark.timeout(240)

LABEL = "compute-horde.token"
BRIEFLY = 30.0


def _docker(*arguments: str) -> list[str]:
    listed = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True)
    return listed.stdout.split()


def _containers() -> list[str]:
    return _docker("ps", "--all", "--quiet", "--filter", f"label={LABEL}")


async def _running(job: ComputeHordeJob) -> None:
    async with asyncio.timeout(SECONDS):
        while job.status.value != "volumes_ready":
            await job.refresh_from_facilitator()


async def _until_accepted(client: ComputeHordeClient, spec: SpecMaker) -> None:
    """Returns when the facilitator takes jobs for the validator again."""
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                job = await client.create_job(spec("true"))
            except ComputeHordeAPIError:
                continue
            await job.wait()
            return


def _kill(network: Network, name: str) -> None:
    child = network.child(name)
    os.kill(child.identity.pid, signal.SIGKILL)
    wait_until(lambda: not child.running, [], what=name, seconds=BRIEFLY)


async def test_a_job_survives_the_death_of_the_validators_link(
    network: Network, client: ComputeHordeClient, spec: SpecMaker
) -> None:
    job = await client.create_job(spec("sh", "-c", "sleep 3; echo survived"))
    await _running(job)

    _kill(network, "validator-1-link")
    network.restart("validator-1-link")
    await job.wait(timeout=SECONDS)

    assert job.status.value == "completed"
    assert job.result is not None
    assert job.result.stdout == "survived\n"


async def test_a_job_that_a_dying_validator_was_given_is_run_by_the_next_process(
    network: Network, client: ComputeHordeClient, spec: SpecMaker
) -> None:
    # Stopped, it holds its socket and hears nothing.
    os.kill(network.child("validator-1-link").identity.pid, signal.SIGSTOP)
    job = await client.create_job(spec("echo", "late"))

    _kill(network, "validator-1-link")
    network.restart("validator-1-link")
    await job.wait(timeout=SECONDS)

    assert job.status.value == "completed"


async def test_a_validator_that_is_away_is_named(
    network: Network, client: ComputeHordeClient, spec: SpecMaker
) -> None:
    _kill(network, "validator-1-link")
    try:
        with pytest.raises(ComputeHordeAPIError) as refused:
            await client.create_job(spec("true"))
    finally:
        network.restart("validator-1-link")

    assert refused.value.status_code == 400
    assert client.compute_horde_validator_hotkey in str(refused.value)
    await _until_accepted(client, spec)


@pytest.mark.parametrize("process", ["web", "fleet"])
async def test_a_job_ends_when_its_miner_dies(
    network: Network, client: ComputeHordeClient, spec: SpecMaker, process: str
) -> None:
    job = await client.create_job(spec("sh", "-c", "sleep 3; echo ended"))
    await _running(job)

    for miner in ("miner-1", "miner-2"):
        _kill(network, f"{miner}-{process}")
        network.restart(f"{miner}-{process}")
    await job.wait(timeout=SECONDS)

    reason = getattr(job.error, "reason", None)
    assert (job.status.value, reason) in {
        ("completed", None),
        ("horde_failed", "executor_disconnected"),
    }
    again = await client.create_job(spec("echo", "again"))
    await again.wait(timeout=SECONDS)
    assert again.status.value == "completed"


async def test_a_killed_executor_fails_the_job_and_leaves_no_container(
    network: Network, client: ComputeHordeClient, spec: SpecMaker
) -> None:
    job = await client.create_job(spec("sleep", "15"))
    await _running(job)

    for pid in executors(network):
        psutil.Process(pid).kill()
    await job.wait(timeout=SECONDS)

    assert job.status.value == "horde_failed"
    assert getattr(job.error, "reason", None) == "executor_disconnected"
    wait_until(lambda: not _containers(), [], what="containers to go", seconds=SECONDS)


async def test_the_facilitator_forgets_nothing_when_it_dies(
    network: Network, client: ComputeHordeClient, spec: SpecMaker
) -> None:
    job = await client.create_job(spec("sh", "-c", "sleep 2; echo kept"))
    await _running(job)

    _kill(network, "facilitator-web")
    network.restart("facilitator-web")
    wait_until(lambda: _answers(client), [], what="the facilitator", seconds=BRIEFLY)
    await job.wait(timeout=SECONDS)

    assert job.status.value == "completed"


def _answers(client: ComputeHordeClient) -> bool:
    curl = ["curl", "--silent", "--fail", f"{client.facilitator_url.rstrip('/')}/health"]
    return subprocess.run(curl, capture_output=True, check=False).returncode == 0


async def test_nothing_is_left_after_jobs(network: Network) -> None:
    wait_until(lambda: not _containers(), [], what="containers to go", seconds=SECONDS)

    work = list((network.data / "work").iterdir())

    assert _docker("network", "ls", "--quiet", "--filter", "type=custom") == []
    assert _docker("volume", "ls", "--quiet") == []
    assert [path.name for path in work if path.name.startswith("compute-horde-")] == []

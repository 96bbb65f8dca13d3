"""What the author of a job sees and may do while it runs."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

import httpx
import pytest

from compute_horde_common.containers.docker import DockerEngine
from compute_horde_common.containers.labels import JOB_LABEL
from compute_horde_devnet.network import Network
from compute_horde_sdk.v1 import (
    ComputeHordeClient,
    ComputeHordeEndEvent,
    ComputeHordeJob,
    ComputeHordeJobFailedError,
    ComputeHordeJobStatus,
    ComputeHordeStatusEvent,
)
from tests.conftest import SECONDS, SpecMaker, executors

pytestmark = pytest.mark.timeout(240)

TALKING = (
    "echo '40 half way' > /specs/progress; for i in 1 2 3 4 5 6; do echo line $i; sleep 0.5; done"
)


async def _until(job: ComputeHordeJob, status: ComputeHordeJobStatus) -> None:
    """Returns once the job has had the status."""
    reached = asyncio.Event()

    def look(_: ComputeHordeJob, entry: object) -> None:
        if getattr(entry, "status", None) == status:
            reached.set()

    waiting = asyncio.create_task(job.wait(timeout=SECONDS, status_callback=look))
    await asyncio.wait_for(reached.wait(), SECONDS)
    waiting.cancel()
    await asyncio.wait({waiting})


async def _containers_of(job: ComputeHordeJob) -> list[str]:
    async with DockerEngine() as engine:
        return [owned.state for owned in await engine.owned({JOB_LABEL: job.uuid})]


async def test_a_cancelled_job_ends_as_failed_and_leaves_no_container(
    client: ComputeHordeClient, spec: SpecMaker
) -> None:
    job = await client.create_job(spec("sh", "-c", "echo started; sleep 600"))
    await _until(job, ComputeHordeJobStatus.VOLUMES_READY)

    await job.cancel()
    await job.wait(timeout=SECONDS)

    assert job.status == ComputeHordeJobStatus.FAILED
    assert job.error is not None
    assert job.error.reason == "cancelled"
    assert await _containers_of(job) == []


async def test_a_cancelled_slot_takes_the_next_job(
    client: ComputeHordeClient, spec: SpecMaker
) -> None:
    jobs = [await client.create_job(spec("sleep", "600")) for _ in range(4)]
    for job in jobs:
        await job.cancel()
    for job in jobs:
        await job.wait(timeout=SECONDS)

    after = await client.create_job(spec("echo", "next"))
    await after.wait(timeout=SECONDS)

    assert {str(getattr(job.error, "reason", "")) for job in jobs} == {"cancelled"}
    assert after.status == ComputeHordeJobStatus.COMPLETED


async def test_output_and_progress_are_seen_while_the_job_runs(
    client: ComputeHordeClient, spec: SpecMaker
) -> None:
    job = await client.create_job(spec("sh", "-c", TALKING))

    seen = [event async for event in _events(client, job)]

    kinds = [kind for kind, _ in seen]
    lines = "".join(data["text"] for kind, data in seen if kind == "log")
    progress = [data["percent"] for kind, data in seen if kind == "progress"]
    assert lines == "".join(f"line {number}\n" for number in range(1, 7))
    assert progress == [40.0]
    assert kinds.index("log") < len(kinds) - 1 - kinds[::-1].index("status")
    assert kinds[-1] == "end"


async def test_the_sdk_is_told_what_a_job_writes_and_how_far_it_is(
    client: ComputeHordeClient, spec: SpecMaker
) -> None:
    job = await client.create_job(spec("sh", "-c", TALKING))
    progress: list[float] = []

    waiting = asyncio.create_task(
        job.wait(SECONDS, progress_callback=lambda _, told: progress.append(told.percent))
    )
    pieces = [piece async for piece in job.logs(follow=True)]
    pushed = [event async for event in client.events(job.uuid)]
    await waiting

    statuses = [event.status for event in pushed if isinstance(event, ComputeHordeStatusEvent)]
    assert "".join(piece.text for piece in pieces) == "".join(f"line {n}\n" for n in range(1, 7))
    assert progress == [40.0]
    assert len(pieces) > 1
    assert statuses == [entry.status for entry in job.status_history]
    assert pushed[-1] == ComputeHordeEndEvent(ComputeHordeJobStatus.COMPLETED)
    assert (job.status, job.exit_status) == ("completed", 0)


async def test_jobs_are_found_by_their_status(client: ComputeHordeClient, spec: SpecMaker) -> None:
    well, badly = [await client.create_job(spec("sh", "-c", f"exit {n}")) for n in range(2)]
    for job in (well, badly):
        await job.wait(timeout=SECONDS)

    found = {job.uuid async for job in client.iter_jobs(status=["Failed", "rejected"])}

    assert badly.uuid in found
    assert well.uuid not in found
    with pytest.raises(ComputeHordeJobFailedError, match=r"in execution .*exit status 1"):
        badly.raise_for_status()


async def test_logs_are_kept_and_can_be_read_from_an_offset(
    client: ComputeHordeClient, spec: SpecMaker
) -> None:
    job = await client.create_job(spec("sh", "-c", TALKING))
    await job.wait(timeout=SECONDS)

    whole = await _get(client, f"/jobs/{job.uuid}/logs/")
    rest = await _get(client, f"/jobs/{job.uuid}/logs/?offset=1")

    assert "".join(piece["text"] for piece in whole["pieces"]).splitlines()[0] == "line 1"
    assert rest["pieces"] == whole["pieces"][1:]
    assert whole["ended"] is True


async def test_what_a_job_wrote_outlives_its_executor(
    client: ComputeHordeClient, spec: SpecMaker, network: Network
) -> None:
    job = await client.create_job(spec("sh", "-c", "echo last words; sleep 600"))
    async for kind, _ in _events(client, job):
        if kind == "log":
            break

    for pid in executors(network):
        os.kill(pid, signal.SIGKILL)
    await job.wait(timeout=SECONDS)

    kept = await _get(client, f"/jobs/{job.uuid}/logs/")
    assert job.status == ComputeHordeJobStatus.HORDE_FAILED
    assert "".join(piece["text"] for piece in kept["pieces"]) == "last words\n"


def _api(client: ComputeHordeClient) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=f"{client.facilitator_url.rstrip('/')}/api/v1",
        headers={"Authorization": f"Bearer {client._facilitator._token}"},
        timeout=SECONDS,
    )


async def _get(client: ComputeHordeClient, path: str) -> dict[str, Any]:
    async with _api(client) as api:
        answer = await api.get(path)
    assert answer.status_code == HTTPStatus.OK
    found: dict[str, Any] = answer.json()
    return found


async def _events(
    client: ComputeHordeClient, job: ComputeHordeJob
) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    async with _api(client) as api, api.stream("GET", f"/jobs/{job.uuid}/events/") as response:
        assert response.status_code == HTTPStatus.OK
        event = ""
        async for line in response.aiter_lines():
            name, _, value = line.partition(":")
            if name == "event":
                event = value.strip()
            if name == "data":
                yield event, json.loads(value)

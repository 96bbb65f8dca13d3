"""A job with everything, for a program without an event loop."""

import threading

import pytest

from compute_horde_devnet.state import NetworkState
from compute_horde_sdk.v1 import (
    ComputeHordeEndEvent,
    ComputeHordeJobProgress,
    ComputeHordeJobStatusEntry,
    ComputeHordeSyncClient,
    ComputeHordeSyncJob,
    InlineInputVolume,
)
from tests.conftest import SECONDS, SpecMaker
from tests.streaming import SERVER

pytestmark = pytest.mark.timeout(240)

STATUSES = [
    "sent",
    "received",
    "accepted",
    "executor_ready",
    "volumes_ready",
    "execution_done",
    "completed",
]


def _client(state: NetworkState) -> ComputeHordeSyncClient:
    return ComputeHordeSyncClient(
        hotkey=state.client.wallet.keypair(),
        compute_horde_validator_hotkey=state.validators[0].hotkey,
        facilitator_url=state.facilitator.url,
    )


def test_a_program_without_a_loop_gets_all_it_asked_for(
    state: NetworkState, spec: SpecMaker
) -> None:
    asked = spec(
        "sh",
        "-c",
        'cat /volume/line.txt | tee /artifacts/a; echo "40 half way" > /specs/progress; sleep 2',
        artifacts_dir="/artifacts",
        input_volumes={"/volume/": InlineInputVolume.from_file_contents("line.txt", b"inline")},
    )
    told: list[str] = []
    progress: list[tuple[float, str]] = []
    threads = set()

    def status_callback(job: ComputeHordeSyncJob, entry: ComputeHordeJobStatusEntry) -> None:
        told.append(entry.status.value)
        threads.add(threading.get_ident())

    def progress_callback(job: ComputeHordeSyncJob, now: ComputeHordeJobProgress) -> None:
        progress.append((now.percent, now.text))

    with _client(state) as client:
        job = client.create_job(asked)
        job.wait(SECONDS, status_callback, progress_callback=progress_callback)
        again = client.get_job(job.uuid)
        newest = next(client.iter_jobs(status="completed"))

    assert (told, threads) == (STATUSES, {threading.get_ident()})
    assert progress == [(40.0, "half way")]
    assert job.result is not None
    assert (job.result.stdout, job.result.artifacts) == ("inline", {"/artifacts/a": b"inline"})
    assert (again.uuid, again.result, newest.uuid) == (job.uuid, job.result, job.uuid)


def test_what_happens_to_a_job_is_iterated_over(state: NetworkState, spec: SpecMaker) -> None:
    with _client(state) as client:
        job = client.create_job(spec("sh", "-c", "echo a; sleep 1; echo b"))
        events = list(job.events())
        followed = "".join(piece.text for piece in job.logs(follow=True))
        found = client.cross_validate(spec("echo", "same"), sample=1, timeout=SECONDS)

    assert (events[-1], followed) == (ComputeHordeEndEvent(job.status), "a\nb\n")
    assert (found.verdict, found.job.status) == ("match", "completed")


def test_a_streaming_job_is_talked_to_and_cancelled(state: NetworkState, spec: SpecMaker) -> None:
    with _client(state) as client:
        job = client.create_job(
            spec("sh", "-c", SERVER, streaming=True, streaming_start_time_limit_sec=10)
        )
        job.wait_for_streaming(SECONDS)
        with job.http_client() as http:
            answer = http.post("/cgi-bin/echo", content=b"hello").text
        job.cancel()
        job.wait(SECONDS)

    assert (answer, job.cancelled) == ("said: hello", True)

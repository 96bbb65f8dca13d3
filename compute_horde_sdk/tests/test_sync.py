"""The blocking client, over an event loop of its own."""

import inspect
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from bittensor_wallet import Keypair

from compute_horde_common.clock import SystemClock
from compute_horde_sdk._internal.certificates import new_streaming_key
from compute_horde_sdk.v1 import (
    ComputeHordeClient,
    ComputeHordeError,
    ComputeHordeJob,
    ComputeHordeJobFailedError,
    ComputeHordeJobProgress,
    ComputeHordeJobResult,
    ComputeHordeJobStatusEntry,
    ComputeHordeJobTimeoutError,
    ComputeHordeNotFoundError,
    ComputeHordeSyncClient,
    ComputeHordeSyncJob,
    ComputeHordeValidationError,
    CrossValidation,
)
from tests.conftest import VALIDATOR, SpecMaker
from tests.facilitator import NOW, Entry, FakeFacilitator

WELL: list[Entry] = ["sent", "accepted", "completed"]
ENDLESS: list[Entry] = ["sent"] * 100_000


@pytest.fixture
def facilitator() -> FakeFacilitator:
    return FakeFacilitator(SystemClock())


@pytest.fixture
def sync_client(facilitator: FakeFacilitator, keypair: Keypair) -> Iterator[ComputeHordeSyncClient]:
    with ComputeHordeSyncClient(
        keypair, VALIDATOR, facilitator_url="http://facilitator", transport=facilitator.transport
    ) as opened:
        yield opened


def test_a_job_is_created_waited_for_and_read(
    sync_client: ComputeHordeSyncClient, facilitator: FakeFacilitator, spec: SpecMaker
) -> None:
    facilitator.plans.append(WELL)
    told: list[tuple[str, str, int]] = []

    def callback(of: ComputeHordeSyncJob, entry: ComputeHordeJobStatusEntry) -> None:
        told.append((of.uuid, entry.status.value, threading.get_ident()))

    job = sync_client.create_job(spec())
    facilitator.jobs[job.uuid].written = ["a", "b", "c"]
    job.wait(timeout=30, status_callback=callback)

    here = threading.get_ident()
    assert told == [(job.uuid, status, here) for status in ("sent", "accepted", "completed")]
    assert job.status == "Completed"
    assert job.result == ComputeHordeJobResult("out", "err", {}, {})
    assert [piece.text for piece in job.logs()] == ["a", "b", "c"]
    assert [piece.text for piece in job.logs(1, follow=True)] == ["b", "c"]
    assert [type(event).__name__ for event in job.events()] == [
        *["ComputeHordeLogEvent"] * 3,
        *["ComputeHordeStatusEvent"] * 3,
        "ComputeHordeEndEvent",
    ]
    assert repr(job) == f"<ComputeHordeSyncJob: '{job.uuid}'>"


def test_jobs_are_found_again(
    sync_client: ComputeHordeSyncClient, facilitator: FakeFacilitator
) -> None:
    ours = [facilitator.add_job("sent", "completed").uuid for _ in range(25)]

    assert [job.uuid for job in sync_client.iter_jobs()] == ours
    assert [job.uuid for job in sync_client.iter_jobs(status="completed")] == []
    assert [job.uuid for job in sync_client.get_jobs(2, 20)] == ours[20:]
    job = sync_client.get_job(ours[0])
    assert (job.uuid, job.status, job.docker_image) == (ours[0], "completed", "alpine")
    assert sync_client.get_log_page(ours[0]).pieces == []
    assert [type(each).__name__ for each in sync_client.events(ours[0])][-1] == (
        "ComputeHordeEndEvent"
    )
    with pytest.raises(ComputeHordeNotFoundError):
        sync_client.get_job("nobody")


def test_a_job_is_run_until_it_is_complete(
    sync_client: ComputeHordeSyncClient, facilitator: FakeFacilitator, spec: SpecMaker
) -> None:
    facilitator.plans.extend([["sent", "rejected"], WELL])
    attempts: list[ComputeHordeSyncJob] = []
    statuses: list[str] = []

    job = sync_client.run_until_complete(
        spec(),
        job_attempt_callback=attempts.append,
        status_callback=lambda _, entry: statuses.append(entry.status.value),
    )

    assert job.status == "completed"
    assert [each.uuid for each in attempts] == list(facilitator.jobs)
    assert statuses == ["sent", "rejected", *WELL]


def test_a_job_is_cross_validated_and_its_miner_reported(
    sync_client: ComputeHordeSyncClient, facilitator: FakeFacilitator, spec: SpecMaker
) -> None:
    facilitator.plans.extend([WELL, WELL])
    threads: list[int] = []

    def compare(result: ComputeHordeJobResult, trusted: ComputeHordeJobResult) -> str:
        threads.append(threading.get_ident())
        return f"{result.stdout} is not {trusted.stdout}"

    found: CrossValidation[ComputeHordeSyncJob] = sync_client.cross_validate(
        spec(), sample=1, compare=compare
    )

    assert isinstance(found.job, ComputeHordeSyncJob)
    assert isinstance(found.trusted_job, ComputeHordeSyncJob)
    assert (found.verdict, found.report) == ("mismatch", '{"message": "noted"}')
    assert str(found.difference) == "result: out is not out is not the trusted miner's"
    assert threads == [threading.get_ident()]


def test_a_comparator_may_be_a_coroutine_function(
    sync_client: ComputeHordeSyncClient, facilitator: FakeFacilitator, spec: SpecMaker
) -> None:
    facilitator.plans.extend([WELL, WELL])

    async def compare(result: ComputeHordeJobResult, trusted: ComputeHordeJobResult) -> bool:
        return result == trusted

    assert sync_client.cross_validate(spec(), sample=1, compare=compare).verdict == "match"


def test_both_jobs_of_a_cross_validation_are_blocking_ones(
    sync_client: ComputeHordeSyncClient, facilitator: FakeFacilitator, spec: SpecMaker
) -> None:
    job = sync_client.create_job(spec(), run_cross_validation=True)

    assert job.trusted_job is not None
    job.trusted_job.refresh()
    assert sync_client.report_cheated_job(job.uuid, job.trusted_job.uuid, details={"a": 1}) == (
        '{"message": "noted"}'
    )


def test_fields_may_be_given_by_name(sync_client: ComputeHordeSyncClient) -> None:
    job = sync_client.create_job(
        executor_class="always_on.test", job_namespace="SN12.0", docker_image="alpine"
    )

    assert (job.status, job.trusted_job) == ("sent", None)


def test_a_job_is_cancelled(
    sync_client: ComputeHordeSyncClient, facilitator: FakeFacilitator, spec: SpecMaker
) -> None:
    facilitator.plans.extend([ENDLESS, ENDLESS])
    jobs = [sync_client.create_job(spec()) for _ in "12"]

    jobs[0].cancel()
    sync_client.cancel_job(jobs[1].uuid)
    for job in jobs:
        job.wait(timeout=30)

    assert [job.cancelled for job in jobs] == [True, True]


def test_a_job_that_failed_raises_an_error_that_has_it(
    sync_client: ComputeHordeSyncClient, facilitator: FakeFacilitator, spec: SpecMaker
) -> None:
    facilitator.plans.append(["sent", "failed"])
    job = sync_client.create_job(spec())

    with pytest.raises(ComputeHordeJobFailedError) as told:
        job.wait(timeout=30, raise_on_failure=True)

    assert vars(told.value)["job"] is job
    with pytest.raises(ComputeHordeJobFailedError):
        job.raise_for_status()


def test_a_wait_has_a_limit(
    sync_client: ComputeHordeSyncClient, facilitator: FakeFacilitator, spec: SpecMaker
) -> None:
    facilitator.plans.append(ENDLESS)
    job = sync_client.create_job(spec())

    with pytest.raises(ComputeHordeJobTimeoutError):
        job.wait(timeout=0.1)
    with pytest.raises(ComputeHordeJobTimeoutError):
        job.wait_for_streaming(timeout=0.1)


def test_progress_is_told_in_the_thread_that_waits(
    sync_client: ComputeHordeSyncClient, facilitator: FakeFacilitator, spec: SpecMaker
) -> None:
    facilitator.plans.append(WELL)
    job = sync_client.create_job(spec())
    progress = {"percent": 50, "text": "half", "at": NOW.isoformat()}
    facilitator.jobs[job.uuid].members["progress"] = progress
    told: list[tuple[ComputeHordeSyncJob, ComputeHordeJobProgress, int]] = []

    job.wait(30, progress_callback=lambda *news: told.append((*news, threading.get_ident())))

    expected = ComputeHordeJobProgress(50, "half", NOW)
    assert told == [(job, expected, threading.get_ident())]


@pytest.mark.parametrize("error", [KeyError("mine"), StopIteration("mine")], ids=repr)
def test_what_a_callback_raises_ends_the_wait(
    sync_client: ComputeHordeSyncClient,
    facilitator: FakeFacilitator,
    spec: SpecMaker,
    error: Exception,
) -> None:
    facilitator.plans.append(ENDLESS)

    def callback(*_: object) -> None:
        raise error

    with pytest.raises((KeyError, RuntimeError), match="mine"):
        sync_client.create_job(spec()).wait(30, callback)


def test_a_callback_may_use_the_client(
    sync_client: ComputeHordeSyncClient, facilitator: FakeFacilitator, spec: SpecMaker
) -> None:
    facilitator.plans.append(ENDLESS)
    job = sync_client.create_job(spec())

    job.wait(30, lambda of, _: of.cancel())

    assert job.cancelled


def test_a_coroutine_function_as_callback_is_refused(
    sync_client: ComputeHordeSyncClient, spec: SpecMaker
) -> None:
    async def callback(*_: object) -> None: ...

    with pytest.raises(ComputeHordeValidationError, match="status_callback: must be a plain"):
        sync_client.create_job(spec()).wait(30, callback)


def test_ctrl_c_ends_a_wait_at_once_and_what_it_does(
    sync_client: ComputeHordeSyncClient, facilitator: FakeFacilitator, spec: SpecMaker
) -> None:
    facilitator.plans.append(ENDLESS)
    job = sync_client.create_job(spec())

    def callback(*_: object) -> None:
        # As if it came a moment later, while this thread waits again.
        threading.Timer(0.05, signal.pthread_kill, (here, signal.SIGINT)).start()

    here = threading.main_thread().ident or 0
    with pytest.raises(KeyboardInterrupt):
        job.wait(30, callback)

    job.refresh()
    assert [stream.is_open for stream in facilitator.streams] == [False]
    assert job.status == "sent"


def test_threads_may_share_a_client(
    sync_client: ComputeHordeSyncClient, facilitator: FakeFacilitator, spec: SpecMaker
) -> None:
    facilitator.plans.extend([WELL] * 8)

    with ThreadPoolExecutor(8) as threads:
        jobs = list(threads.map(lambda _: sync_client.run_until_complete(spec()), range(8)))

    assert {job.uuid for job in jobs} == set(facilitator.jobs)
    assert [job.status for job in jobs] == ["completed"] * 8


async def test_it_works_beside_a_running_loop(sync_client: ComputeHordeSyncClient) -> None:
    sync_client.authenticate()

    assert sync_client.get_jobs() == []


def test_a_closed_client_says_so(
    sync_client: ComputeHordeSyncClient, facilitator: FakeFacilitator, spec: SpecMaker
) -> None:
    job = sync_client.create_job(spec())
    jobs = sync_client.iter_jobs()

    sync_client.close()
    sync_client.close()

    for use in (sync_client.get_jobs, job.refresh, lambda: list(job.logs()), lambda: list(jobs)):
        with pytest.raises(ComputeHordeError, match="this client is closed"):
            use()
    assert "compute-horde-sdk" not in {thread.name for thread in threading.enumerate()}


def test_closing_ends_the_waits_of_other_threads(
    sync_client: ComputeHordeSyncClient, facilitator: FakeFacilitator, spec: SpecMaker
) -> None:
    facilitator.plans.append(ENDLESS)
    job = sync_client.create_job(spec())
    waiting = threading.Event()

    with ThreadPoolExecutor(1) as threads:
        wait = threads.submit(job.wait, 30, lambda *_: waiting.set())
        assert waiting.wait(30)
        sync_client.close()
        with pytest.raises(ComputeHordeError, match="closed"):
            wait.result(30)


def test_a_coroutine_of_the_client_cannot_use_it(
    sync_client: ComputeHordeSyncClient, facilitator: FakeFacilitator, spec: SpecMaker
) -> None:
    facilitator.plans.extend([WELL, WELL])

    async def compare(*_: object) -> bool:
        sync_client.close()
        return True

    found = sync_client.cross_validate(spec(), sample=1, compare=compare)

    assert (found.verdict, len(sync_client.get_jobs())) == ("undecided", 2)
    assert "cannot use that client" in str(found.reason)


def test_a_streaming_job_is_talked_to_with_a_blocking_http_client(
    sync_client: ComputeHordeSyncClient, facilitator: FakeFacilitator
) -> None:
    key = new_streaming_key(SystemClock().now())
    known = facilitator.add_job("sent", "streaming_ready")
    known.members = {
        "streaming_server_cert": key.pem,
        "streaming_server_address": "192.0.2.1",
        "streaming_server_port": 4433,
    }

    job = sync_client.get_job(known.uuid, streaming_key=key.to_pem())

    assert job.streaming_key is not None
    assert job.streaming_key.pem == key.pem
    with job.http_client(timeout=1) as http:
        assert isinstance(http, httpx.Client)
        assert str(http.base_url) == "https://192.0.2.1:4433"


def parameters(function: Callable[..., object]) -> list[tuple[str, str, object]]:
    found = inspect.signature(function).parameters.values()
    return [(each.name, each.kind.name, each.default) for each in found]


@pytest.mark.parametrize(
    ("ours", "other", "apart"),
    [
        (ComputeHordeSyncClient, ComputeHordeClient, {"aclose", "clock"}),
        (ComputeHordeSyncJob, ComputeHordeJob, set()),
    ],
)
def test_both_ways_have_the_same_calls(ours: type, other: type, apart: set[str]) -> None:
    calls = {
        name: parameters(call)
        for name, call in inspect.getmembers(other, inspect.isfunction)
        if name not in apart and (name == "__init__" or not name.startswith("_"))
    }
    if other is ComputeHordeJob:
        del calls["__init__"]

    assert {name: parameters(getattr(ours, name)) for name in calls} == calls


def test_both_ways_have_the_same_attributes(
    sync_client: ComputeHordeSyncClient, facilitator: FakeFacilitator, client: ComputeHordeClient
) -> None:
    job = sync_client.get_job(facilitator.add_job().uuid)
    pairs = [(sync_client, client), (job, ComputeHordeJob(client, job.uuid))]

    public = [
        [{name for name in dir(each) if not name.startswith("_")} for each in pair]
        for pair in pairs
    ]

    assert public[0][0] == public[0][1] - {"aclose", "clock"}
    assert public[1][0] == public[1][1]


PROGRAM = """
import os, sys, threading
import httpx
from bittensor_wallet import Keypair
from compute_horde_sdk.v1 import ComputeHordeError, ComputeHordeSyncClient
from tests.facilitator import FakeFacilitator
from compute_horde_common.clock import SystemClock

facilitator = FakeFacilitator(SystemClock())
uuid = facilitator.add_job(*["sent"] * 100_000).uuid
client = ComputeHordeSyncClient(
    Keypair.create_from_uri("//Alice"), "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty",
    facilitator_url="http://facilitator", transport=facilitator.transport,
)
job = client.get_job(uuid)
events = job.events()
next(events)
"""
ENDS = {
    "by its end": "",
    "with a thread that waits": "threading.Thread(target=job.wait, daemon=True).start()",
    "by sys.exit": "sys.exit(0)",
    "in a forked child": """
if os.fork() == 0:
    try:
        job.refresh()
    except ComputeHordeError as error:
        print(error)
    sys.exit(0)
_, status = os.wait()
sys.exit(status)
""",
}


@pytest.mark.parametrize("end", ENDS)
def test_a_client_that_is_not_closed_lets_its_program_end(end: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM + ENDS[end]],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert ended.returncode == 0, ended.stderr
    assert ("this process was forked off" in ended.stdout) == ("forked" in end)

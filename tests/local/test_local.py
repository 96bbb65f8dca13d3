"""What is particular about jobs on one's own machine: what they need, that they share it, and that
nothing of them stays."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from compute_horde_common.containers.docker import DockerEngine
from compute_horde_common.containers.labels import JOB_LABEL
from compute_horde_sdk._internal.local import leftovers
from compute_horde_sdk.v1 import (
    ComputeHordeError,
    ComputeHordeHordeFailure,
    ComputeHordeJob,
    ComputeHordeJobFailure,
    ComputeHordeLogEvent,
    ComputeHordeValidationError,
    ExecutorClass,
)
from compute_horde_sdk.v1.local import LocalClient, LocalSyncClient
from tests.conftest import SpecMaker
from tests.local.conftest import BRISK

SECONDS = 60
SLEEPING = ("sh", "-c", "echo begun; sleep 600")
PROGRAM = """
import asyncio, signal, sys
from compute_horde_sdk.v1 import ComputeHordeJobSpec, ComputeHordeLogEvent, ExecutorClass
from compute_horde_sdk.v1.local import LocalClient, LocalSyncClient

async def main():
    async with LocalClient(work_dir=sys.argv[1]) as client:
        job = await client.create_job(
            executor_class=ExecutorClass.always_on__test,
            job_namespace="SN12.tests",
            docker_image=sys.argv[2],
            args=["sh", "-c", "echo begun; sleep 600"],
        )
        async for event in job.events():
            if isinstance(event, ComputeHordeLogEvent):
                print(job.uuid, flush=True)

# Tests that run in the background of a shell pass on that SIGINT is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
asyncio.run(main())
"""


async def _begun(job: ComputeHordeJob) -> None:
    """Returns once the job's container has written something."""
    async with asyncio.timeout(SECONDS), aclosing(job.events()) as events:
        async for event in events:
            if isinstance(event, ComputeHordeLogEvent):
                return


async def _containers_of(uuid: str) -> int:
    async with DockerEngine() as engine:
        return len(await engine.owned({JOB_LABEL: uuid}))


async def _nothing_is_left(uuid: str, work_dir: Path) -> None:
    """Returns once a job's container and files are gone, which may take some seconds."""
    async with asyncio.timeout(SECONDS):
        while await _containers_of(uuid) or list(work_dir.iterdir()):  # noqa: ASYNC110, ASYNC240
            await asyncio.sleep(0.05)


def _executors() -> list[psutil.Process]:
    """The executors that this process has started."""
    return [child for child in psutil.Process().children() if "executor" in child.cmdline()]


async def test_output_and_progress_are_seen_while_the_job_runs(
    client: LocalClient, spec: SpecMaker
) -> None:
    talking = "echo '40 half way' > /specs/progress; echo out; echo err >&2; sleep 600"
    job = await client.create_job(spec("sh", "-c", talking))
    kinds = set()
    async with asyncio.timeout(SECONDS), aclosing(job.events()) as events:
        async for event in events:
            kinds.add(type(event).__name__)
            if {"ComputeHordeLogEvent", "ComputeHordeProgressEvent"} <= kinds:
                break

    await job.refresh()
    pieces = await job.logs()

    assert job.status == "volumes_ready"
    assert job.progress is not None
    assert (job.progress.percent, job.progress.text) == (40.0, "half way")
    assert sorted((piece.stream, piece.text) for piece in pieces) == [
        ("stderr", "err\n"),
        ("stdout", "out\n"),
    ]


async def test_a_streaming_job_is_talked_to_on_loopback(
    client: LocalClient, spec: SpecMaker
) -> None:
    serving = "mkdir /www; echo well > /www/health; httpd -f -p 8000 -h /www"
    job = await client.create_job(spec("sh", "-c", serving, streaming=True))
    await job.wait_for_streaming(timeout=SECONDS)

    async with job.http_client() as http:
        answer = await http.get("/health")

    assert (job.streaming_server_address, answer.text) == ("127.0.0.1", "well\n")


async def test_a_streaming_job_that_never_gets_healthy_fails_in_time(
    client: LocalClient, spec: SpecMaker
) -> None:
    limits = {"download_time_limit_sec": 0, "streaming_start_time_limit_sec": 1}
    job = await client.create_job(spec("sleep", "600", streaming=True, **limits))
    await job.wait(timeout=SECONDS)

    assert isinstance(job.error, ComputeHordeJobFailure)
    assert (job.error.reason, job.error.stage) == ("timeout", "streaming_startup")


async def test_jobs_run_at_once_and_more_of_them_wait_for_their_turn(
    tmp_path: Path, spec: SpecMaker
) -> None:
    async with LocalClient(work_dir=tmp_path, max_parallel=2, executor_environment=BRISK) as client:
        first, second = [await client.create_job(spec(*SLEEPING)) for _ in range(2)]
        await asyncio.gather(_begun(first), _begun(second))

        third = await client.create_job(spec("echo", "my turn"))
        waited = third.status.value
        await first.cancel()
        await third.wait(timeout=SECONDS)

    assert (waited, third.status.value) == ("received", "completed")


async def test_a_job_that_waits_for_its_turn_is_cancelled_at_once(
    tmp_path: Path, spec: SpecMaker
) -> None:
    async with LocalClient(work_dir=tmp_path, max_parallel=1, executor_environment=BRISK) as client:
        await client.create_job(spec(*SLEEPING))
        waiting = await client.create_job(spec("true"))

        await waiting.cancel()
        await waiting.wait(timeout=SECONDS)

    assert waiting.cancelled
    assert [entry.status.value for entry in waiting.status_history] == [
        "sent",
        "received",
        "failed",
    ]


async def test_a_job_of_a_gpu_class_runs_without_a_gpu_where_that_is_wanted(
    tmp_path: Path, spec: SpecMaker
) -> None:
    asked = spec("echo", "done", executor_class=ExecutorClass.always_on__gpu_24gb)
    async with LocalClient(work_dir=tmp_path, gpu=False) as client:
        job = await client.run_until_complete(asked, timeout=SECONDS)

    assert (job.status.value, job.executor_class) == ("completed", "always_on.gpu-24gb")


async def test_where_docker_does_not_run_the_error_says_what_to_do(spec: SpecMaker) -> None:
    async with LocalClient(docker_host="unix:///no/such/docker.sock") as client:
        with pytest.raises(ComputeHordeError, match=r"Docker cannot be used.*systemctl start"):
            await client.create_job(spec("true"))

        assert await client.get_jobs() == []


async def test_an_executor_that_does_not_start_is_quoted(spec: SpecMaker) -> None:
    async with LocalClient(executor_environment={"JOB_DISK_BYTES": "much"}) as client:
        with pytest.raises(ComputeHordeError, match=r"did not start: JOB_DISK_BYTES is 'much'"):
            await client.create_job(spec("true"))


async def test_a_host_that_is_unfit_is_told_with_its_reasons(spec: SpecMaker) -> None:
    async with LocalClient(executor_environment={"JOB_RUNTIME": "no-such"}) as client:
        with pytest.raises(ComputeHordeError, match=r"cannot run jobs\. JOB_RUNTIME is 'no-such'"):
            await client.create_job(spec("true"))


async def test_a_spec_that_cannot_work_is_refused_as_on_the_network(
    client: LocalClient, spec: SpecMaker
) -> None:
    with pytest.raises(ComputeHordeValidationError, match="docker_image"):
        await client.create_job(spec("true", docker_image="NO IMAGE"))

    assert _executors() == []


async def test_an_executor_that_is_killed_fails_its_job_and_leaves_nothing(
    client: LocalClient, spec: SpecMaker, tmp_path: Path
) -> None:
    job = await client.create_job(spec(*SLEEPING, download_time_limit_sec=60))
    await _begun(job)

    for executor in _executors():
        executor.kill()
    await job.wait(timeout=SECONDS)

    assert isinstance(job.error, ComputeHordeHordeFailure)
    assert job.error.reason == "executor_disconnected"
    assert "with status -9" in job.error.message
    assert "".join(piece.text for piece in await job.logs()) == "begun\n"
    await _nothing_is_left(job.uuid, tmp_path)


async def test_closing_the_client_ends_its_jobs_and_leaves_nothing(
    tmp_path: Path, spec: SpecMaker
) -> None:
    async with LocalClient(work_dir=tmp_path, executor_environment=BRISK) as client:
        job = await client.create_job(spec(*SLEEPING))
        await _begun(job)

    assert _executors() == []
    assert await _containers_of(job.uuid) == 0
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240 - a folder of this test


@dataclass(frozen=True)
class Program:
    """A program with a local job that runs; ``executors`` are its children."""

    process: subprocess.Popen[str]
    uuid: str
    work_dir: Path
    executors: list[psutil.Process]

    async def stop(self, number: signal.Signals) -> None:
        """Returns once the program has ended by a signal."""
        self.process.send_signal(number)
        await asyncio.to_thread(self.process.wait, SECONDS)


@pytest.fixture
async def program(tmp_path: Path, image: str) -> AsyncIterator[Program]:
    # That the folder has a module with the executor's name is no reason to run it.
    (tmp_path / "executor.py").write_text("raise SystemExit('not me')")
    work_dir = tmp_path / "work"
    work_dir.mkdir()
    process = subprocess.Popen(  # noqa: ASYNC220 - a program of its own
        [sys.executable, "-c", PROGRAM, work_dir, image],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=tmp_path,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout as output:
        uuid = (await asyncio.to_thread(output.readline)).strip()
    executors = psutil.Process(process.pid).children()
    assert (len(executors), await _containers_of(uuid)) == (1, 1)
    yield Program(process, uuid, work_dir, executors)
    process.kill()
    process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_nothing_is_left_of_a_program_that_is_stopped(
    number: signal.Signals, program: Program
) -> None:
    await program.stop(number)

    await _nothing_is_left(program.uuid, program.work_dir)
    gone, alive = await asyncio.to_thread(psutil.wait_procs, program.executors, SECONDS)
    assert (len(gone), alive) == (1, [])


async def test_what_is_left_where_all_was_killed_is_removed_by_the_next_client(
    program: Program, spec: SpecMaker
) -> None:
    program.process.send_signal(signal.SIGSTOP)
    program.executors[0].kill()
    await program.stop(signal.SIGKILL)

    left = await _containers_of(program.uuid)
    async with LocalClient(work_dir=program.work_dir) as client:
        await client.create_job(spec("true"))

    assert left == 1
    await _nothing_is_left(program.uuid, program.work_dir)


async def test_what_only_root_may_remove_is_removed_by_docker(image: str, tmp_path: Path) -> None:
    # As root, we may remove everything ourselves, so that this is tried on its own.
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "file").write_text("content")

    async with leftovers._docker("unix:///var/run/docker.sock") as docker:
        await leftovers._empty_as_root(docker, tmp_path)

    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240 - a folder of this test


async def test_reports_of_cheats_are_refused(client: LocalClient, spec: SpecMaker) -> None:
    job = await client.create_job(spec("true"))

    with pytest.raises(ComputeHordeError, match="there is no miner to report"):
        await client.report_cheated_job(job.uuid, job.uuid)


def test_a_program_without_an_event_loop_runs_jobs_too(tmp_path: Path, spec: SpecMaker) -> None:
    with LocalSyncClient(work_dir=tmp_path, executor_environment=BRISK) as client:
        done = client.run_until_complete(spec("echo", "done"), timeout=SECONDS)
        job = client.create_job(spec(*SLEEPING))

    assert (done.status.value, job.status.value) == ("completed", "accepted")
    assert list(tmp_path.iterdir()) == []


def test_a_client_serves_one_event_loop_after_another(tmp_path: Path, spec: SpecMaker) -> None:
    client = LocalClient(work_dir=tmp_path, executor_environment=BRISK)

    async def once_more() -> ComputeHordeJob:
        async with client:
            return await client.run_until_complete(spec("echo", "done"), timeout=SECONDS)

    first = asyncio.run(client.create_job(spec(*SLEEPING)))
    second = asyncio.run(once_more())

    assert second.status == "completed"
    assert first.uuid != second.uuid
    assert list(tmp_path.iterdir()) == []

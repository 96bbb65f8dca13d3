"""The demo: three jobs through the whole network, shown live, checked, and one exit status."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from compute_horde_devnet.state import NetworkState
from compute_horde_sdk.v1 import (
    ComputeHordeClient,
    ComputeHordeJob,
    ComputeHordeJobSpec,
    ComputeHordeJobStatus,
    ExecutorClass,
    InlineInputVolume,
)

JOB_SECONDS = 120
_STYLES = {
    ComputeHordeJobStatus.COMPLETED: "green",
    ComputeHordeJobStatus.FAILED: "yellow",
    ComputeHordeJobStatus.REJECTED: "red",
    ComputeHordeJobStatus.HORDE_FAILED: "red",
}


_SHORT = {"executor_ready": "executor", "volumes_ready": "inputs", "execution_done": "ran"}


@dataclass(frozen=True)
class DemoJob:
    """A job of the demo, and what is wrong with its outcome (nothing, if all is well)."""

    title: str
    spec: ComputeHordeJobSpec
    faults: Callable[[ComputeHordeJob], list[str]]


@dataclass
class Progress:
    """What is known of a running job."""

    job: DemoJob
    started: float
    stages: list[tuple[str, datetime]] = field(default_factory=list)
    handle: ComputeHordeJob | None = None
    trouble: str = ""
    took: float | None = None


def jobs(image: str) -> list[DemoJob]:
    """The three jobs."""
    return [
        DemoJob(
            "hello world",
            _spec(image, ["echo", "hello, horde"]),
            lambda job: _compare(job, ComputeHordeJobStatus.COMPLETED, "hello, horde\n", {}),
        ),
        DemoJob(
            "everything else",
            _spec(
                image,
                [
                    "sh",
                    "-c",
                    'cat /volume/greeting.txt > /artifacts/answer.txt; echo "$WHO $1"',
                    "sh",
                    "--twice",
                ],
                env={"WHO": "stranger"},
                artifacts_dir="/artifacts",
                input_volumes={
                    "/volume/": InlineInputVolume.from_file_contents("greeting.txt", b"forty-two\n")
                },
            ),
            lambda job: _compare(
                job,
                ComputeHordeJobStatus.COMPLETED,
                "stranger --twice\n",
                {"/artifacts/answer.txt": b"forty-two\n"},
            ),
        ),
        DemoJob(
            "exit status 3",
            _spec(image, ["sh", "-c", "echo about to fail; exit 3"]),
            _compare_failure,
        ),
    ]


async def run(state: NetworkState, console: Console) -> bool:
    """Submits the jobs one after another. True if each came out as it should."""
    progress: list[Progress] = []
    async with ComputeHordeClient(
        hotkey=state.client.wallet.keypair(),
        compute_horde_validator_hotkey=state.validators[0].hotkey,
        facilitator_url=state.facilitator.url,
    ) as client:
        with Live(_table(progress), console=console, refresh_per_second=12) as live:
            for job in jobs(state.image):
                progress.append(Progress(job, time.monotonic()))
                await _follow(client, progress, live)
    console.print()
    for entry in progress:
        _print_result(console, entry)
    return all(not _faults(entry) for entry in progress)


async def _follow(client: ComputeHordeClient, progress: list[Progress], live: Live) -> None:
    entry = progress[-1]

    async def show() -> None:
        while True:
            live.update(_table(progress))
            await asyncio.sleep(0.1)

    shown = asyncio.ensure_future(show())
    try:
        handle = await client.create_job(entry.job.spec)
        entry.handle = handle

        def note(*_: object) -> None:
            entry.stages = [(item.status.value, item.created_at) for item in handle.status_history]

        await handle.wait(timeout=JOB_SECONDS, status_callback=note)
    except Exception as error:  # noqa: BLE001 - whatever happened is the demo's result
        entry.trouble = f"{type(error).__name__}: {error}"
    finally:
        entry.took = time.monotonic() - entry.started
        shown.cancel()
        live.update(_table(progress))


def _spec(image: str, args: list[str], **more: Any) -> ComputeHordeJobSpec:  # noqa: ANN401 - by name
    return ComputeHordeJobSpec(
        executor_class=ExecutorClass.always_on__test,
        job_namespace="SN12.demo",
        docker_image=image,
        download_time_limit_sec=10,
        execution_time_limit_sec=30,
        upload_time_limit_sec=10,
        args=args,
        **more,
    )


def _table(progress: list[Progress]) -> Table:
    table = Table(expand=False, header_style="bold")
    table.add_column("job")
    table.add_column("stages, with seconds since it was sent")
    table.add_column("took", justify="right")
    for entry in progress:
        took = entry.took if entry.took is not None else time.monotonic() - entry.started
        table.add_row(entry.job.title, _stages(entry), f"{took:.2f} s")
    return table


def _stages(entry: Progress) -> Text:
    line = Text()
    for status, at in entry.stages:
        seconds = (at - entry.stages[0][1]).total_seconds()
        style = _STYLES.get(ComputeHordeJobStatus(status), "cyan")
        line.append(f"{_SHORT.get(status, status)} ", style=style)
        line.append(f"{seconds:.2f}  ", style="dim")
    line.append(entry.trouble, style="red")
    return line


def _print_result(console: Console, entry: Progress) -> None:
    faults = _faults(entry)
    console.rule(f"{entry.job.title}: {'as it should be' if not faults else 'WRONG'}")
    job = entry.handle
    if job is not None and job.result is not None:
        console.print("stdout:", repr(job.result.stdout), "artifacts:", job.result.artifacts)
    if job is not None and job.error is not None:
        console.print("error:", job.error)
    for fault in faults:
        console.print(fault, style="red")


def _faults(entry: Progress) -> list[str]:
    if entry.handle is None or entry.trouble:
        return [entry.trouble or "the job was never created"]
    return entry.job.faults(entry.handle)


def _compare(
    job: ComputeHordeJob,
    status: ComputeHordeJobStatus,
    stdout: str,
    artifacts: dict[str, bytes],
) -> list[str]:
    if job.status != status:
        return [f"status is {job.status}, expected {status}: {job.error}"]
    if job.result is None:
        return ["there is no result"]
    faults = []
    if job.result.stdout != stdout:
        faults.append(f"stdout is {job.result.stdout!r}, expected {stdout!r}")
    if job.result.artifacts != artifacts:
        faults.append(f"artifacts are {job.result.artifacts!r}, expected {artifacts!r}")
    return faults


def _compare_failure(job: ComputeHordeJob) -> list[str]:
    if job.status != ComputeHordeJobStatus.FAILED:
        return [f"status is {job.status}, expected failed"]
    exit_status = getattr(job.error, "exit_status", None)
    if exit_status != 3:  # noqa: PLR2004 - what the job exits with
        return [f"exit status is {exit_status}, expected 3"]
    return []

"""``horde jobs``, ``show``, ``logs``, ``cancel`` and ``report``: jobs that exist."""

import asyncio
import json
import shlex
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from rich.table import Table

from compute_horde_sdk.cli import artifacts, documents, endings, explaining, printing
from compute_horde_sdk.cli.finding import job_named
from compute_horde_sdk.cli.opening import new_client
from compute_horde_sdk.cli.printing import foreign
from compute_horde_sdk.cli.screen import write_raw
from compute_horde_sdk.cli.settings import Settings
from compute_horde_sdk.cli.trouble import CommandFailed, WrongUsage
from compute_horde_sdk.v1 import (
    ComputeHordeClient,
    ComputeHordeError,
    ComputeHordeJob,
    ComputeHordeNotFoundError,
    ComputeHordeValidationError,
)

T = TypeVar("T")
SHOWN_COMMAND = 60


@dataclass(frozen=True)
class Page:
    """Which jobs to list."""

    number: int
    size: int
    statuses: tuple[str, ...]


def list_jobs(settings: Settings, page: Page, *, is_json: bool) -> None:
    """Prints a page of jobs, the newest first.

    Raises:
        WrongUsage: there is no such status.
        ComputeHordeError: the facilitator cannot be asked.
    """
    found = _asked(settings, lambda client: _page(client, page))
    if is_json:
        printing.print_json([documents.job_summary(job) for job in found])
        return
    if not found:
        more = "more " if page.number > 1 else ""
        wanted = " or ".join(page.statuses)
        printing.err().print(foreign(f"no {more}jobs{f' that are {wanted}' if wanted else ''}"))
        return
    table = Table("created", "job", "status", "class", "namespace", "image", "command", box=None)
    for job in found:
        table.add_row(
            _time(job.created_at),
            foreign(job.uuid),
            foreign(_status(job), _colour(job)),
            *(foreign(text or "") for text in (job.executor_class, job.job_namespace)),
            foreign(job.docker_image or ""),
            foreign(shlex.join(job.args or ())[:SHOWN_COMMAND].replace("\n", " ")),
        )
    printing.out().print(table)
    if len(found) == page.size:
        printing.err().print(f"[dim]more: --page {page.number + 1}")


def show(
    settings: Settings, name: str, *, save_to: Path | None, reveal: bool, is_json: bool
) -> None:
    """Prints all there is to know of a job, and saves its artifacts if they are wanted.

    Secrets are printed only with ``reveal``.

    Raises:
        ComputeHordeError: there is no such job, or the facilitator cannot be asked.
    """
    job = _asked(settings, lambda client: job_named(client, name))
    saved = artifacts.save(job, save_to) if save_to is not None else []
    if is_json:
        printing.print_json(documents.job_document(job, reveal=reveal))
        return
    _print_facts(job, reveal=reveal)
    _print_history(job)
    _print_result(job)
    for path in saved:
        printing.err().print(foreign(f"saved {path}", "dim"))


def logs(settings: Settings, name: str, *, follow: bool, is_json: bool) -> None:
    """Prints what a job wrote, each stream to its own; with ``follow`` until it has ended.

    Raises:
        ComputeHordeError: there is no such job, or the facilitator cannot be asked.
    """

    async def read(client: ComputeHordeClient) -> ComputeHordeJob:
        job = await job_named(client, name)
        pieces = []
        async for piece in job.logs(follow=follow):
            if not is_json:
                write_raw(piece)
            elif follow:
                printing.print_json_line(documents.piece_document(piece))
            else:
                pieces.append(documents.piece_document(piece))
        if is_json and not follow:
            printing.print_json(pieces)
        if follow:
            await job.wait()
        return job

    job = _asked(settings, read)
    if job.status.is_failed():
        printing.err().print(foreign(f"job {endings.sentence(job)}", "red"))


def cancel(settings: Settings, names: list[str], *, is_json: bool) -> None:
    """Asks for the end of jobs.

    Raises:
        CommandFailed: one of them cannot be cancelled; it names those that were.
        ComputeHordeError: one of them cannot be found. None was cancelled.
    """

    async def ask(client: ComputeHordeClient) -> list[ComputeHordeJob]:
        jobs = [await job_named(client, name) for name in names]
        for number, job in enumerate(jobs):
            try:
                await job.cancel()
            except ComputeHordeError as error:
                raise _not_cancelled(error, job, jobs[:number]) from error
        return jobs

    jobs = _asked(settings, ask)
    if is_json:
        printing.print_json([documents.job_summary(job) for job in jobs])
        return
    for job in jobs:
        done = "cancelled" if job.cancelled else "cancelling; it ends within seconds"
        printing.out().print(foreign(f"{job.uuid} {done}"))


def report(
    settings: Settings, name: str, trusted_name: str, *, details: str | None, is_json: bool
) -> None:
    """Reports that the miner of a job cheated.

    Raises:
        WrongUsage: the details are no JSON.
        ComputeHordeError: the report was refused.
    """
    evidence = _evidence(details)

    async def send(client: ComputeHordeClient) -> str:
        job, trusted = await job_named(client, name), await job_named(client, trusted_name)
        return await client.report_cheated_job(job.uuid, trusted.uuid, details=evidence)

    answer = _asked(settings, send)
    if is_json:
        printing.print_json(_json_or_text(answer))
    else:
        told = _json_or_text(answer)
        text = told.get("message", answer) if isinstance(told, dict) else answer
        printing.out().print(foreign(f"reported: {text}"))


def _asked(settings: Settings, question: Callable[[ComputeHordeClient], Awaitable[T]]) -> T:
    async def ask() -> T:
        async with new_client(settings) as client:
            return await question(client)

    return asyncio.run(ask())


async def _page(client: ComputeHordeClient, page: Page) -> list[ComputeHordeJob]:
    try:
        return await client.get_jobs(page.number, page.size, status=page.statuses or None)
    except ComputeHordeNotFoundError:
        return []
    except ComputeHordeValidationError as error:
        raise WrongUsage(str(error), "Change --status.") from error


def _evidence(details: str | None) -> object:
    if details is None:
        return None
    try:
        text = Path(details[1:]).read_text("utf-8") if details.startswith("@") else details
        evidence: object = json.loads(text)
    except OSError as error:
        raise WrongUsage(
            f"{details[1:]} cannot be read: {error.strerror}", "Check --details."
        ) from error
    except ValueError as error:
        raise WrongUsage(
            f"--details is no JSON: {error}", """Write e.g. --details '{"expected": 4}'."""
        ) from error
    return evidence


def _not_cancelled(
    error: ComputeHordeError, job: ComputeHordeJob, done: list[ComputeHordeJob]
) -> CommandFailed:
    failed = explaining.explained(error)
    others = f"; cancelled before: {', '.join(each.uuid for each in done)}" if done else ""
    return CommandFailed(
        f"{job.uuid} is not cancelled: {failed.message}{others}", failed.fix, status=failed.status
    )


def _json_or_text(text: str) -> object:
    try:
        told: object = json.loads(text)
    except ValueError:
        return text
    return told


def _print_facts(job: ComputeHordeJob, *, reveal: bool) -> None:
    env = documents.env(job, reveal=reveal)
    inputs, outputs = (
        documents.volumes(listed or (), reveal=reveal) for listed in (job.inputs, job.outputs)
    )
    limits = [f"{name.replace('_', ' ')} {value} s" for name, value in (job.limits or {}).items()]
    facts = {
        "job": job.uuid,
        "status": _status(job),
        "created": _time(job.created_at),
        "class": job.executor_class,
        "namespace": job.job_namespace,
        "image": job.docker_image,
        "command": shlex.join(job.args or ()),
        "env": "\n".join(f"{name}={value}" for name, value in env.items()),
        "inputs": "\n".join(_source(volume) for volume in inputs),
        "outputs": "\n".join(_target(upload) for upload in outputs),
        "artifacts": job.artifacts_dir,
        "limits": ", ".join(limits),
        "trusted miner": "yes" if job.on_trusted_miner else "",
        "progress": f"{job.progress.percent:.0f} % {job.progress.text}" if job.progress else "",
        "streaming": f"{job.streaming_server_address}:{job.streaming_server_port}"
        if job.streaming_server_port
        else "",
        "cancel asked": _time(job.cancel_requested_at),
        "failure": endings.sentence(job) if job.error else "",
        "to do": endings.advice(job),
    }
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in facts.items():
        if value:
            table.add_row(foreign(name, "dim"), foreign(value))
    printing.out().print(table)


def _print_history(job: ComputeHordeJob) -> None:
    table = Table(show_header=False, box=None, title="timeline", title_justify="left")
    began = job.status_history[0].created_at
    for entry in job.status_history:
        after = (entry.created_at - began).total_seconds()
        table.add_row(_time(entry.created_at), f"+{after:.1f} s", foreign(entry.status.value))
    printing.out().print("", table)


def _print_result(job: ComputeHordeJob) -> None:
    out = printing.out()
    if job.result is None:
        return
    for name, text in (("stdout", job.result.stdout), ("stderr", job.result.stderr)):
        if text:
            out.print(f"\n[italic]{name}")
            out.print(foreign(text.rstrip("\n")))
    if job.result.artifacts:
        out.print("\n[italic]artifacts")
        for path, contents in sorted(job.result.artifacts.items()):
            out.print(foreign(f"{path}  {len(contents)} bytes"))


def _status(job: ComputeHordeJob) -> str:
    if job.cancelled:
        return "cancelled"
    status = job.status.value
    return f"{status} ({job.exit_status})" if job.exit_status else status


def _colour(job: ComputeHordeJob) -> str:
    if job.status.is_in_progress():
        return "yellow"
    return "green" if job.status.is_successful() else "red"


def _time(at: datetime | None) -> str:
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S") if at else ""


def _source(volume: Mapping[str, Any]) -> str:
    kind = str(volume.get("volume_type"))
    source = volume.get("url") or volume.get("repo_id") or ""
    revision = f"@{volume['revision']}" if volume.get("revision") else ""
    path = f"/volume/{volume.get('relative_path') or ''}"
    return f"{path} ← {source}{revision}" if source else f"{path} ← {kind}"


def _target(upload: Mapping[str, Any]) -> str:
    return f"/output/{upload.get('relative_path')} → {upload.get('url')}"

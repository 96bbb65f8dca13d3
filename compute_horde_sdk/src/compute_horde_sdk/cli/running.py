"""``horde run``: sends a job, shows what it does, and ends as it ends."""

import asyncio
import json
from dataclasses import dataclass, replace
from pathlib import Path

from compute_horde_sdk._internal.attempts import DEFAULT_ATTEMPTS
from compute_horde_sdk._internal.spec import create_request
from compute_horde_sdk.cli import artifacts, endings, printing
from compute_horde_sdk.cli.interruption import Interruption
from compute_horde_sdk.cli.job_file import Job
from compute_horde_sdk.cli.job_spec import spec_of
from compute_horde_sdk.cli.opening import job_client
from compute_horde_sdk.cli.printing import foreign
from compute_horde_sdk.cli.screen import Screen, screen_for
from compute_horde_sdk.cli.settings import Settings
from compute_horde_sdk.cli.trouble import Status, WrongUsage
from compute_horde_sdk.v1 import (
    ComputeHordeClient,
    ComputeHordeJob,
    ComputeHordeJobSpec,
)

ARTIFACTS = "/artifacts"
_LOCAL = Settings(job_class="always_on.test", namespace="local", validator="local")
_LATER = "(made when the job is sent)"


@dataclass(frozen=True)
class Manner:
    """How a job is run, whatever it is."""

    is_local: bool = False
    is_json: bool = False
    is_quiet: bool = False


def dry_run(job: Job, settings: Settings, manner: Manner) -> None:
    """Prints the request that would be sent.

    Raises:
        WrongUsage: there is something wrong with it.
    """
    settings = _complete(settings, manner)
    request = create_request(
        _spec(job, settings),
        validator_hotkey=settings.validator or "",
        on_trusted_miner=job.trusted,
        client_certificate=_LATER if job.streaming else None,
    )
    printing.print_json(json.loads(request.content))


def detach(job: Job, settings: Settings, manner: Manner) -> None:
    """Sends a job and prints its uuid.

    Raises:
        WrongUsage: there is something wrong with it; nothing was sent.
        ComputeHordeError: it was not taken.
    """
    if manner.is_local:
        raise WrongUsage("--detach cannot be used with --local", "A local job ends with `horde`.")
    if job.save_artifacts:
        raise WrongUsage(
            "--save-artifacts cannot be used with --detach",
            "Save them later: horde show UUID --save-artifacts FOLDER",
        )
    sent = asyncio.run(_sent(_spec(job, settings), job, settings))
    if manner.is_json:
        printing.print_json({"uuid": sent.uuid, "status": sent.status.value})
    else:
        printing.out().print(foreign(sent.uuid))
        printing.err().print(foreign(f"follow it with: horde logs -f {sent.uuid}", "dim"))


def run(job: Job, settings: Settings, manner: Manner) -> int:
    """Runs a job to its end; the exit status of ``horde``.

    Raises:
        WrongUsage: there is something wrong with it; nothing was sent.
        CommandFailed: its user left it.
        ComputeHordeError: it was not taken, or cannot be followed.
    """
    settings = _complete(settings, manner)
    spec = _spec(job, settings)
    if job.save_artifacts:
        artifacts.check_folder(job.save_artifacts)
    screen = screen_for(is_json=manner.is_json, is_quiet=manner.is_quiet)
    try:
        ended, reason = asyncio.run(_ended(spec, job, settings, manner, screen))
    finally:
        screen.close()
    status = reason if reason and not ended.status.is_successful() else endings.exit_status(ended)
    screen.ended(ended)
    _tell_artifacts(ended, job.save_artifacts, screen)
    return int(status)


async def _sent(spec: ComputeHordeJobSpec, job: Job, settings: Settings) -> ComputeHordeJob:
    async with job_client(settings, is_local=False) as client:
        return await client.create_job(spec, job.trusted)


async def _ended(
    spec: ComputeHordeJobSpec, job: Job, settings: Settings, manner: Manner, screen: Screen
) -> tuple[ComputeHordeJob, Status | None]:
    async with (
        job_client(settings, is_local=manner.is_local) as client,
        Interruption(screen, job.timeout, is_local=manner.is_local) as interruption,
    ):
        ended = await _attempted(client, spec, job, screen, interruption)
        return ended, interruption.reason


async def _attempted(
    client: ComputeHordeClient,
    spec: ComputeHordeJobSpec,
    job: Job,
    screen: Screen,
    interruption: Interruption,
) -> ComputeHordeJob:
    attempts: list[ComputeHordeJob] = []

    async def follow(created: ComputeHordeJob) -> None:
        if attempts:
            screen.note(f"the job was {endings.sentence(attempts[-1])}; it is sent again")
        attempts.append(created)
        interruption.runs(created)
        screen.created(created, len(attempts))
        async for event in created.events():
            screen.event(event)

    return await client.run_until_complete(
        spec, job.trusted, follow, max_attempts=job.attempts or DEFAULT_ATTEMPTS
    )


def _spec(job: Job, settings: Settings) -> ComputeHordeJobSpec:
    if job.save_artifacts and not job.artifacts:
        job = job.model_copy(update={"artifacts": ARTIFACTS})
    return spec_of(job, settings)


def _complete(settings: Settings, manner: Manner) -> Settings:
    """A job on this machine needs no class, no namespace and no validator."""
    if not manner.is_local:
        return settings
    return replace(
        settings,
        job_class=settings.job_class or _LOCAL.job_class,
        namespace=settings.namespace or _LOCAL.namespace,
        validator=_LOCAL.validator,
    )


def _tell_artifacts(job: ComputeHordeJob, folder: Path | None, screen: Screen) -> None:
    if folder is not None:
        for path in artifacts.save(job, folder):
            screen.hint(f"saved {path}")
    elif job.result and job.result.artifacts:
        count = len(job.result.artifacts)
        screen.hint(
            f"artifacts: {count}; `horde show {job.uuid} --save-artifacts FOLDER` saves them"
        )

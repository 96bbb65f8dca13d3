"""A job by its uuid, or by the beginning of it."""

import re

from compute_horde_sdk.cli.trouble import CommandFailed, WrongUsage
from compute_horde_sdk.v1 import ComputeHordeClient, ComputeHordeJob

UUID_CHARACTERS = 36
SHORTEST = 4
PAGE_SIZE = 100
PAGES = 3
_BEGINNING = re.compile(rf"[0-9a-f-]{{{SHORTEST},{UUID_CHARACTERS}}}")


async def job_named(client: ComputeHordeClient, name: str) -> ComputeHordeJob:
    """The job with that uuid; or the one among the latest 300 whose uuid begins like that.

    Raises:
        WrongUsage: that is no uuid, nor the beginning of one.
        CommandFailed: none of the latest jobs begins like that, or several do.
        ComputeHordeError: there is no such job, or the facilitator cannot be asked.
    """
    if not _BEGINNING.fullmatch(name.lower()):
        raise WrongUsage(
            f"{name[:100]!r} is no job's uuid", "`horde jobs` shows the uuids of your jobs."
        )
    if len(name) == UUID_CHARACTERS:
        return await client.get_job(name.lower())
    found = [job for job in await _latest(client) if job.uuid.startswith(name.lower())]
    if not found:
        raise CommandFailed(
            f"none of the latest jobs begins with {name}", "`horde jobs` shows their uuids."
        )
    if len(found) > 1:
        uuids = ", ".join(job.uuid for job in found[:5])
        raise CommandFailed(f"several jobs begin with {name}: {uuids}", "Write more of the uuid.")
    return found[0]


async def _latest(client: ComputeHordeClient) -> list[ComputeHordeJob]:
    found: list[ComputeHordeJob] = []
    for page in range(1, PAGES + 1):
        jobs = await client.get_jobs(page, PAGE_SIZE)
        found += jobs
        if len(jobs) < PAGE_SIZE:
            break
    return found

"""What a host must have before it takes a job."""

import shutil
from pathlib import Path

from compute_horde_common.containers.interface import ContainerEngine, EngineUnavailable

MIN_FREE_DISK_BYTES = 256 << 20


class HostUnfit(Exception):
    """This host cannot run jobs; the message says what it lacks."""


async def check_host(engine: ContainerEngine, work_dir: Path) -> None:
    """Returns if the host may take a job.

    Raises:
        HostUnfit: Docker does not answer, or the disk for job files is full.
    """
    try:
        await engine.ping()
    except EngineUnavailable as failure:
        raise HostUnfit(f"Docker cannot be used here: {failure}") from failure
    free = shutil.disk_usage(work_dir).free
    if free < MIN_FREE_DISK_BYTES:
        raise HostUnfit(
            f"{work_dir} has {free >> 20} MiB free; jobs need at least {MIN_FREE_DISK_BYTES >> 20}"
        )

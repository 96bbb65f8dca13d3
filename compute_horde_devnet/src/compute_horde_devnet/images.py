"""The image of the demo's and tests' jobs: a static busybox, so that no registry is needed."""

import asyncio
import os

from compute_horde_common.containers.docker import DockerEngine
from compute_horde_common.containers.interface import EngineError
from compute_horde_common.containers.scratch_image import BusyboxMissing, build_busybox_image

JOB_IMAGE = "compute-horde/busybox:1"


class NoJobImage(RuntimeError):
    """The job image cannot be had; the text says what to do."""


def job_image() -> str:
    """The name of the job image; it is built when this engine does not have it.

    Raises:
        NoJobImage: no engine answers, or there is no busybox.
    """
    try:
        asyncio.run(_build())
    except EngineError as error:
        raise NoJobImage(f"no Docker engine answers: {error}") from None
    except BusyboxMissing as error:
        raise NoJobImage(str(error)) from None
    return JOB_IMAGE


async def _build() -> None:
    address = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    async with DockerEngine(address) as engine:
        if not await engine.has_image(JOB_IMAGE):
            await build_busybox_image(engine, JOB_IMAGE)

"""Whether this host can run executors. What only an executor can tell of its host, it tells when it
starts; `fleet_look` shows it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from compute_horde_common.containers.interface import ContainerEngine, EngineError, EngineInfo
from compute_horde_common.contrib.django.doctor.findings import Check, Finding, fail, ok, warn
from compute_horde_common.contrib.django.doctor.machine import disk_has_room, folder_is_usable

OLDEST_DOCKER: Final = (20, 10)
DRIVER: Final = Path("/proc/driver/nvidia/version")
"""What the loaded driver says of itself, in containers, too."""
START_DOCKER: Final = (
    "Install it or start it (`sudo systemctl start docker`), and let this service reach its"
    " socket, DOCKER_HOST. In Docker Compose, run doctor in miner-fleet, which has it."
)
INSTALL_DRIVER: Final = (
    "Install NVIDIA's driver and load it (`sudo modprobe nvidia`; after an installation, restart"
    " the machine): `nvidia-smi -L` must list the GPUs. Or offer no GPU class in EXECUTOR_SLOTS."
)
INSTALL_TOOLKIT: Final = (
    "Install nvidia-container-toolkit 1.17.4 or later, then `sudo nvidia-ctk runtime configure"
    " --runtime=docker` and `sudo systemctl restart docker`."
)
_VERSION = re.compile(r"\d+(?:\.\d+)+")


@dataclass(frozen=True, slots=True)
class Host:
    """The host of executors.

    Attributes:
        engine: its container engine.
        manager: the name of the executor manager.
        image: of executors in containers.
        work_directory: where the files of jobs are.
        gpu_classes: offered classes that need a GPU.
        without_gpu: jobs of those classes run without one.
        driver: the file in which a loaded driver says its version.
    """

    engine: ContainerEngine
    manager: str
    image: str
    work_directory: Path
    gpu_classes: tuple[str, ...]
    without_gpu: bool
    driver: Path = DRIVER

    def checks(self) -> list[Check]:
        """Those that make sense with this executor manager."""
        found = [Check("work directory", self.work_directory_is_usable)]
        if self.manager in {"docker", "process"}:
            found.append(Check("Docker", self.docker_answers))
            found.append(Check("GPU", self.gpu_is_there, needs=("Docker",)))
        if self.manager == "docker":
            found.append(Check("executor image", self.image_is_here, needs=("Docker",)))
        return found

    async def docker_answers(self) -> Finding:
        """Whether the engine answers, and is not too old."""
        try:
            await self.engine.ping()
            info = await self.engine.info()
        except EngineError as error:
            return fail(str(error), START_DOCKER)
        found = f"Docker {info.version}, storage {info.storage_driver}, Linux {info.kernel}"
        version = tuple(int(part) for part in re.findall(r"\d+", info.version)[:2])
        if version < OLDEST_DOCKER:
            return fail(found, "Install Docker 20.10 or later.")
        return ok(found)

    async def image_is_here(self) -> Finding:
        """Whether executors can be started without pulling."""
        try:
            here = await self.engine.has_image(self.image)
        except EngineError as error:
            return fail(f"{self.image}: {error}", "EXECUTOR_IMAGE must be the name of an image.")
        if here:
            return ok(self.image)
        return fail(
            f"{self.image} is not on this host",
            f"docker pull {self.image}; or set EXECUTOR_IMAGE in .env to one that is here.",
        )

    async def work_directory_is_usable(self) -> Finding:
        """Whether jobs' files can be written, and have room."""
        path = self.work_directory
        advice = (
            "EXECUTOR_WORK_DIRECTORY must be a folder of the host with room: `sudo mkdir -p"
            f" {path}` makes it. To make room, remove files there that are days old, and images"
            " that nobody uses (`docker image prune --all`)."
        )
        return await folder_is_usable(path, advice=advice) or await disk_has_room(
            path, advice=advice
        )

    async def gpu_is_there(self) -> Finding:
        """Whether containers can have GPUs, if jobs need them."""
        if not self.gpu_classes:
            return ok("no class of EXECUTOR_SLOTS needs one")
        if self.without_gpu:
            return warn(
                "jobs of GPU classes run without a GPU",
                "That is for development: remove DEBUG_NO_GPU_MODE from .env.",
            )
        wanted = ", ".join(self.gpu_classes)
        if not self.driver.exists():
            return fail(f"no NVIDIA driver is loaded; needed by {wanted}", INSTALL_DRIVER)
        driver = f"NVIDIA driver {_version(self.driver.read_text())}"
        info = await self.engine.info()
        if not _knows_gpus(info):
            return fail(f"{driver}, but Docker cannot give GPUs to containers", INSTALL_TOOLKIT)
        return ok(f"{driver}; Docker knows the runtime nvidia")


def _version(text: str) -> str:
    found = _VERSION.search(text)
    return found.group() if found else "of unknown version"


def _knows_gpus(info: EngineInfo) -> bool:
    return "nvidia" in info.runtimes

"""What a machine is given to run a job: the runner, and the job as JSON."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from compute_horde_common.jobs.executor_classes import ExecutorClass
from compute_horde_common.jobs.spec import JobSpec
from compute_horde_sdk._internal.errors import ComputeHordeValidationError
from compute_horde_sdk._internal.fallback.cloud import MachineOrder
from compute_horde_sdk._internal.fallback.exceptions import FallbackError
from compute_horde_sdk._internal.fallback.registry import ImageConfig
from compute_horde_sdk._internal.fallback.spec import FallbackJobSpec
from compute_horde_sdk._internal.spec import ComputeHordeJobSpec, create_request

POD = Path(__file__).parent / "pod"
FILES = ("runner.py", "transfers.py")
OWNER_ONLY = 0o600
SPARE_SECONDS = 120
KILL_SECONDS = 30
ANY_IMAGE = "image"
SYSTEM = {
    *("bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32"),
    *("proc", "root", "run", "sbin", "sys"),
}
SHARED = {*("home", "media", "mnt", "opt", "output", "specs", "srv", "tmp", "usr", "var", "volume")}
"""The job's folders are emptied before it starts. None may be in the first ones, or be one of the
second."""

# SkyPilot brings a Python of its own into images that have none.
COMMAND = """\
python="${{SKY_RUNTIME_DIR:-$HOME}}/skypilot-runtime/bin/python"
[ -x "$python" ] || python=python3
if command -v timeout >/dev/null
then exec timeout -k {kill} {seconds} "$python" runner.py .
else exec "$python" runner.py .
fi
"""


def checked(spec: FallbackJobSpec) -> JobSpec:
    """The job as the network would take it.

    Raises:
        ComputeHordeValidationError: the network would not.
    """
    if spec.run is None and spec.image is None:
        raise ComputeHordeValidationError("image_id", "must name an image, docker:user/image:tag")
    texts: dict[str, object] = {"run": spec.run or "", "work_dir": spec.work_dir}
    for name, text in texts.items():
        if not isinstance(text, str) or "\0" in text:
            raise ComputeHordeValidationError(name, "must be a text without NUL")
    if _is_the_machines(spec.artifacts_dir or "/artifacts"):
        raise ComputeHordeValidationError(
            "artifacts_dir", f"{spec.artifacts_dir} is the machine's own; choose e.g. /artifacts"
        )
    spec.wanted_accelerators()
    same = ComputeHordeJobSpec(
        executor_class=ExecutorClass.always_on__test,
        job_namespace="fallback",
        docker_image=spec.image or ANY_IMAGE,
        download_time_limit_sec=spec.download_time_limit_sec,
        execution_time_limit_sec=spec.execution_time_limit_sec,
        upload_time_limit_sec=spec.upload_time_limit_sec,
        args=spec.args or [],
        env=spec.envs or {},
        artifacts_dir=spec.artifacts_dir,
        input_volumes=spec.input_volumes,
        output_volumes=spec.output_volumes,
        streaming_start_time_limit_sec=spec.streaming_start_time_limit_sec,
    )
    request = create_request(
        same, validator_hotkey="fallback", on_trusted_miner=False, client_certificate=None
    )
    return request.signed


def _is_the_machines(folder: str) -> bool:
    parts = [part for part in folder.split("/") if part not in {"", "."}]
    return (
        not parts or ".." in parts or parts[0] in SYSTEM or (len(parts) == 1 and parts[0] in SHARED)
    )


def write_program(
    folder: Path, spec: FallbackJobSpec, job: JobSpec, image: ImageConfig | None
) -> str:
    """Fills a folder with what the machine needs; returns the shell command to run in it."""
    limits = {
        "download": job.download_time_limit,
        "execution": job.execution_time_limit,
        "upload": job.upload_time_limit,
        "streaming_start": job.streaming_start_time_limit,
    }
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Without it, SkyPilot leaves out what a .gitignore somewhere above names.
    (folder / ".skyignore").touch()
    for name in FILES:
        shutil.copyfile(POD / name, folder / name)
    told = folder / "job.json"
    told.touch(OWNER_ONLY)
    told.write_text(json.dumps(_told(spec, job, image, limits)), encoding="utf-8")
    return COMMAND.format(kill=KILL_SECONDS, seconds=sum(limits.values()) + SPARE_SECONDS)


def order_of(machine: str, spec: FallbackJobSpec, folder: Path, command: str) -> MachineOrder:
    """The machine that a job needs.

    Raises:
        ComputeHordeValidationError: its accelerators have no known form.
    """
    return MachineOrder(
        machine,
        spec.image,
        command,
        folder,
        spec.wanted_accelerators(),
        spec.cpus,
        spec.memory,
        spec.disk_size,
        spec.ports,
        spec.instance_type,
        spec.region,
        spec.zone,
    )


def _told(
    spec: FallbackJobSpec, job: JobSpec, image: ImageConfig | None, limits: Mapping[str, int]
) -> dict[str, object]:
    return {
        "command": _command(spec, job, image),
        "env": {**(image.env if image else {}), **job.env},
        "work_dir": image.work_dir if image and spec.work_dir == "/" else spec.work_dir,
        "artifacts_dir": job.artifacts_dir,
        "volumes": [volume.model_dump(mode="json") for volume in job.volumes],
        "uploads": [upload.model_dump(mode="json") for upload in job.uploads],
        "limits": limits,
        "streaming": spec.streaming,
    }


def _command(spec: FallbackJobSpec, job: JobSpec, image: ImageConfig | None) -> list[str]:
    if spec.run is not None:
        return ["sh", "-c", spec.run]
    command = image.command(job.args) if image else []
    if not command:
        raise FallbackError(f"{spec.image} runs nothing by itself; give args, or run")
    return command

"""What a fallback job asks for."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from typing_extensions import Self

from compute_horde_sdk._internal.errors import ComputeHordeValidationError
from compute_horde_sdk._internal.fallback.exceptions import FallbackError
from compute_horde_sdk._internal.fallback.hardware import hardware_of
from compute_horde_sdk._internal.spec import (
    DOWNLOAD_SECONDS,
    EXECUTION_SECONDS,
    STREAMING_START_SECONDS,
    UPLOAD_SECONDS,
    ComputeHordeJobSpec,
)
from compute_horde_sdk._internal.volumes import InputVolume, OutputVolume

DOCKER = "docker:"


@dataclass
class FallbackJobSpec:
    """What a job on a rented machine asks for. `from_job_spec` makes one from a job of the network.

    Attributes:
        run: a shell command to run instead of the image's own; ``args`` are of no account then.
        envs: environment of the job.
        work_dir: folder that it starts in; the image's own if that has one.
        artifacts_dir: as of `ComputeHordeJobSpec`.
        input_volumes: likewise.
        output_volumes: likewise.
        cpus: CPUs of the machine; ``"8+"`` for at least eight.
        memory: GB of memory, in the same way.
        accelerators: GPUs: a name, ``{"RTXA6000": 1}``, or a list of such, of which any will do.
        disk_size: GB of disk.
        ports: ports to open.
        instance_type: the cloud's own name of a machine.
        image_id: the image, ``docker:user/image:tag``.
        region: where in the cloud.
        zone: where in the region.
        streaming: whether the job answers requests while it runs.
        args: arguments of the image's entry point, as of `ComputeHordeJobSpec`.
        download_time_limit_sec: likewise.
        execution_time_limit_sec: likewise.
        upload_time_limit_sec: likewise.
        streaming_start_time_limit_sec: likewise.
    """

    run: str | None = None
    envs: Mapping[str, str] | None = None
    work_dir: str = "/"
    artifacts_dir: str | None = None
    input_volumes: Mapping[str, InputVolume] | None = None
    output_volumes: Mapping[str, OutputVolume] | None = None
    cpus: int | float | str | None = None
    memory: int | float | str | None = None
    accelerators: "str | Mapping[str, int] | Sequence[str | Mapping[str, int]] | None" = None
    disk_size: int | None = None
    ports: int | str | Sequence[str] | None = None
    instance_type: str | None = None
    image_id: str | None = None
    region: str | None = None
    zone: str | None = None
    streaming: bool = False
    args: Sequence[str] | None = None
    download_time_limit_sec: int = DOWNLOAD_SECONDS
    execution_time_limit_sec: int = EXECUTION_SECONDS
    upload_time_limit_sec: int = UPLOAD_SECONDS
    streaming_start_time_limit_sec: int = STREAMING_START_SECONDS

    @classmethod
    def from_job_spec(cls, job_spec: ComputeHordeJobSpec, **changes: Any) -> Self:  # noqa: ANN401
        """The same job for a rented machine; ``changes`` are fields of this class, and win.

        Raises:
            FallbackError: there is no such executor class, or no such field.
        """
        known = {each.name for each in dataclasses.fields(cls)}
        if unknown := sorted(changes.keys() - known):
            raise FallbackError(
                f"{unknown[0]} is no field of a fallback job; there are {', '.join(sorted(known))}"
            )
        hardware = hardware_of(job_spec.executor_class)
        same = ("artifacts_dir", "input_volumes", "output_volumes", "streaming", "args")
        limits = [name for name in known if name.endswith("_time_limit_sec")]
        taken = {name: getattr(job_spec, name) for name in (*same, *limits)}
        return cls(
            **{
                "envs": job_spec.env,
                "image_id": DOCKER + job_spec.docker_image,
                "accelerators": hardware.accelerators or None,
                "cpus": hardware.cpus,
                "memory": hardware.memory,
                **taken,
                **changes,
            }
        )

    @property
    def image(self) -> str | None:
        """The image's name."""
        return self.image_id.removeprefix(DOCKER) if self.image_id else None

    def wanted_accelerators(self) -> list[Mapping[str, int]]:
        """The accelerators of which any will do.

        Raises:
            ComputeHordeValidationError: they have another form.
        """
        given = self.accelerators
        several = [given] if isinstance(given, str | Mapping) else list(given or [])
        return [_accelerator(each) for each in several]


def _accelerator(given: object) -> Mapping[str, int]:
    if isinstance(given, Mapping) and len(given) == 1:
        return given
    if isinstance(given, str) and given:
        name, _, count = given.partition(":")
        if not count or count.isdigit():
            return {name: int(count or 1)}
    raise ComputeHordeValidationError(
        "accelerators", "must be a GPU's name, e.g. 'RTXA6000', 'RTXA6000:2' or {'RTXA6000': 2}"
    )

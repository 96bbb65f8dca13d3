"""A job as users describe it, and as it travels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError

from compute_horde_common.jobs.executor_classes import ExecutorClass
from compute_horde_common.jobs.spec import JobSpec, StreamingDetails
from compute_horde_sdk._internal.errors import ComputeHordeValidationError
from compute_horde_sdk._internal.volumes import InputVolume, OutputVolume

T = TypeVar("T")
_USERS_NAMES = {
    "download_time_limit": "download_time_limit_sec",
    "execution_time_limit": "execution_time_limit_sec",
    "upload_time_limit": "upload_time_limit_sec",
    "streaming_start_time_limit": "streaming_start_time_limit_sec",
}


@dataclass
class ComputeHordeJobSpec:
    """What to run, on what, and for how long. Limits are in whole seconds.

    Attributes:
        executor_class: the hardware.
        job_namespace: who asks, e.g. ``SN123.0``: subnet and version.
        docker_image: the image to run.
        download_time_limit_sec: for all input volumes together.
        execution_time_limit_sec: for the container; a job that takes longer fails.
        upload_time_limit_sec: for all output volumes together.
        args: arguments of the image's entry point.
        env: environment variables.
        artifacts_dir: directory in the container whose small files come back with the result.
        input_volumes: what to put where below ``/volume/``.
        output_volumes: what to send where from below ``/output/``.
        streaming: whether the job serves clients while it runs.
        streaming_start_time_limit_sec: until a streaming job can be reached.
    """

    executor_class: ExecutorClass
    job_namespace: str
    docker_image: str
    download_time_limit_sec: int
    execution_time_limit_sec: int
    upload_time_limit_sec: int
    args: Sequence[str] = field(default_factory=list)
    env: Mapping[str, str] = field(default_factory=dict)
    artifacts_dir: str | None = None
    input_volumes: Mapping[str, InputVolume] | None = None
    output_volumes: Mapping[str, OutputVolume] | None = None
    streaming: bool = False
    streaming_start_time_limit_sec: int = 5


def to_travel(
    spec: ComputeHordeJobSpec, *, on_trusted_miner: bool, streaming_cert: str | None
) -> JobSpec:
    """The part of a job that is signed.

    Raises:
        ComputeHordeValidationError: something in it is wrong; the error names the field.
    """
    volumes = _converted(
        "input_volumes",
        spec.input_volumes,
        lambda path, volume: volume.to_compute_horde_volume(path),
    )
    uploads = _converted(
        "output_volumes",
        spec.output_volumes,
        lambda path, volume: volume.to_compute_horde_output_upload(path),
    )
    if isinstance(spec.args, str):
        raise ComputeHordeValidationError("args", "expected a list of strings, not one string")
    try:
        return JobSpec(
            executor_class=str(spec.executor_class),
            docker_image=spec.docker_image,
            args=list(spec.args or []),
            env=dict(spec.env or {}),
            use_gpu=True,
            artifacts_dir=spec.artifacts_dir or "",
            on_trusted_miner=on_trusted_miner,
            download_time_limit=spec.download_time_limit_sec,
            execution_time_limit=spec.execution_time_limit_sec,
            upload_time_limit=spec.upload_time_limit_sec,
            streaming_start_time_limit=spec.streaming_start_time_limit_sec,
            streaming_details=StreamingDetails(public_key=streaming_cert)
            if streaming_cert
            else None,
            volumes=volumes,
            uploads=uploads,
        )
    except ValidationError as error:
        fault = error.errors()[0]
        name = str(fault["loc"][0]) if fault["loc"] else "job"
        raise ComputeHordeValidationError(_USERS_NAMES.get(name, name), fault["msg"]) from None


def body_of(
    spec: JobSpec, *, validator: str, job_namespace: str | None, with_lists: tuple[bool, bool]
) -> dict[str, Any]:
    """The body of the request that creates a job, as the published SDK sends it.

    ``with_lists``: whether volumes and uploads were given at all.
    """
    body: dict[str, Any] = {
        "target_validator_hotkey": validator,
        "executor_class": spec.executor_class,
        "docker_image": spec.docker_image,
        "job_namespace": job_namespace,
        "args": spec.args,
        "env": spec.env,
        "use_gpu": spec.use_gpu,
        "artifacts_dir": spec.artifacts_dir or None,
        "on_trusted_miner": spec.on_trusted_miner,
        "download_time_limit": spec.download_time_limit,
        "execution_time_limit": spec.execution_time_limit,
        "streaming_start_time_limit": spec.streaming_start_time_limit,
        "upload_time_limit": spec.upload_time_limit,
    }
    if spec.streaming_details is not None:
        body["streaming_details"] = {"public_key": spec.streaming_details.public_key}
    if with_lists[0]:
        body["volumes"] = [volume.model_dump(mode="json") for volume in spec.volumes]
    if with_lists[1]:
        body["uploads"] = [upload.model_dump(mode="json") for upload in spec.uploads]
    return body


def _converted(
    name: str, given: Mapping[str, Any] | None, convert: Callable[[str, Any], T]
) -> list[T]:
    found = []
    for path, volume in (given or {}).items():
        try:
            found.append(convert(path, volume))
        except ValidationError as error:
            why = error.errors()[0]["msg"]
            raise ComputeHordeValidationError(f"{name}[{path!r}]", why) from None
        except (ValueError, AttributeError) as error:
            raise ComputeHordeValidationError(f"{name}[{path!r}]", str(error)) from None
    return found

"""The fields of a job spec, given by name instead of as a `ComputeHordeJobSpec`."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields

from typing_extensions import NotRequired, TypedDict

from compute_horde_common.jobs.executor_classes import ExecutorClass
from compute_horde_sdk._internal.errors import ComputeHordeValidationError
from compute_horde_sdk._internal.spec import ComputeHordeJobSpec
from compute_horde_sdk._internal.volumes import InputVolume, OutputVolume


class ComputeHordeJobFields(TypedDict):
    """What `ComputeHordeJobSpec` takes, with the same defaults."""

    executor_class: ExecutorClass | str
    job_namespace: str
    docker_image: str
    download_time_limit_sec: NotRequired[int]
    execution_time_limit_sec: NotRequired[int]
    upload_time_limit_sec: NotRequired[int]
    args: NotRequired[Sequence[str] | None]
    env: NotRequired[Mapping[str, str] | None]
    artifacts_dir: NotRequired[str | None]
    input_volumes: NotRequired[Mapping[str, InputVolume] | None]
    output_volumes: NotRequired[Mapping[str, OutputVolume] | None]
    streaming: NotRequired[bool]
    streaming_start_time_limit_sec: NotRequired[int]


def wanted_spec(job_spec: object, named: Mapping[str, object]) -> ComputeHordeJobSpec:
    """The spec that was given, whole or by its fields.

    Raises:
        ComputeHordeValidationError: both were given, or neither, or a field is unknown or missing.
    """
    if job_spec is None and named:
        return _spec_of(named)
    if named:
        raise ComputeHordeValidationError(
            "job_spec", f"give a ComputeHordeJobSpec or fields ({', '.join(named)}), not both"
        )
    if not isinstance(job_spec, ComputeHordeJobSpec):
        raise ComputeHordeValidationError(
            "job_spec", "must be a ComputeHordeJobSpec, or give its fields by name"
        )
    return job_spec


def _spec_of(named: Mapping[str, object]) -> ComputeHordeJobSpec:
    known = {field.name: field for field in fields(ComputeHordeJobSpec)}
    for name in named:
        if name not in known:
            raise ComputeHordeValidationError(
                name, f"is no field of a job spec; there are {', '.join(known)}"
            )
    for name, field in known.items():
        has_default = field.default is not MISSING or field.default_factory is not MISSING
        if name not in named and not has_default:
            raise ComputeHordeValidationError(name, "is missing")
    return ComputeHordeJobSpec(**named)  # type: ignore[arg-type]  # checked when it is sent

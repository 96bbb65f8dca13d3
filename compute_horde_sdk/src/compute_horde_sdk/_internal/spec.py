"""What a job asks for, and the request body that says so.

The body has the published SDK's members in their order; the signature covers what
`compute_horde_common.jobs.spec.JobSpec` holds of it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from compute_horde_common.jobs.executor_classes import ExecutorClass
from compute_horde_common.jobs.spec import JobSpec
from compute_horde_common.protocol import rest
from compute_horde_sdk._internal.errors import ComputeHordeValidationError
from compute_horde_sdk._internal.volumes import (
    HTTPInputVolume,
    HTTPOutputVolume,
    HuggingfaceInputVolume,
    InlineInputVolume,
    InputVolume,
    OutputVolume,
)

DOWNLOAD_SECONDS = 60
EXECUTION_SECONDS = 300
UPLOAD_SECONDS = 60
STREAMING_START_SECONDS = 5

_USER_NAMES = {
    "target_validator_hotkey": "compute_horde_validator_hotkey",
    "download_time_limit": "download_time_limit_sec",
    "execution_time_limit": "execution_time_limit_sec",
    "upload_time_limit": "upload_time_limit_sec",
    "streaming_start_time_limit": "streaming_start_time_limit_sec",
    "volumes": "input_volumes",
    "uploads": "output_volumes",
}


@dataclass
class ComputeHordeJobSpec:
    """What a job asks for. Nothing is checked until a client creates the job.

    Time that a stage does not need is left to the later ones.

    Attributes:
        executor_class: the hardware.
        job_namespace: what the job is for, by convention subnet and version: ``SN123.0``.
        docker_image: what is run. The container has no network.
        download_time_limit_sec: seconds for getting the input volumes.
        execution_time_limit_sec: seconds for the container. One that runs longer fails the job.
        upload_time_limit_sec: seconds for sending the output volumes.
        args: arguments of the container.
        env: environment of the container. It travels unencrypted.
        artifacts_dir: folder in the container whose files, each below 1 MB, come back in
            ``job.result.artifacts``.
        input_volumes: path below ``/volume/`` to what is put there.
        output_volumes: path below ``/output/`` to where that file is sent.
        streaming: whether the job answers requests while it runs.
        streaming_start_time_limit_sec: seconds until a streaming job must be able to.
    """

    executor_class: ExecutorClass
    job_namespace: str
    docker_image: str
    download_time_limit_sec: int = DOWNLOAD_SECONDS
    execution_time_limit_sec: int = EXECUTION_SECONDS
    upload_time_limit_sec: int = UPLOAD_SECONDS
    args: Sequence[str] = field(default_factory=list)
    env: Mapping[str, str] = field(default_factory=dict)
    artifacts_dir: str | None = None
    input_volumes: Mapping[str, InputVolume] | None = None
    output_volumes: Mapping[str, OutputVolume] | None = None
    streaming: bool = False
    streaming_start_time_limit_sec: int = STREAMING_START_SECONDS


@dataclass(frozen=True)
class CreateRequest:
    """A checked request for a job: the bytes to send, and what of them is signed."""

    content: bytes
    signed: JobSpec


def create_request(
    job_spec: ComputeHordeJobSpec,
    *,
    validator_hotkey: str,
    on_trusted_miner: bool,
    client_certificate: str | None,
) -> CreateRequest:
    """The request that creates a job.

    Raises:
        ComputeHordeValidationError: the spec cannot work; it names the field.
    """
    body = _body(job_spec, validator_hotkey, on_trusted_miner, client_certificate)
    try:
        checked = rest.JobCreate.model_validate(body)
    except ValidationError as error:
        raise ComputeHordeValidationError.of(error, names=_USER_NAMES) from error
    numbers = {name: getattr(checked, name) for name in body if name.endswith("_time_limit")}
    content = compact_json({**body, **numbers})
    if len(content) > rest.MAX_BODY_BYTES:
        raise ComputeHordeValidationError(
            "input_volumes",
            f"the request has {len(content)} bytes, at most {rest.MAX_BODY_BYTES} are allowed;"
            " put large inputs behind a URL (HTTPInputVolume)",
        )
    return CreateRequest(content, checked.spec())


def compact_json(value: object) -> bytes:
    """The JSON text that is sent for a value."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _body(
    job_spec: ComputeHordeJobSpec,
    validator_hotkey: str,
    on_trusted_miner: bool,
    client_certificate: str | None,
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "target_validator_hotkey": validator_hotkey,
        "executor_class": job_spec.executor_class,
        "docker_image": job_spec.docker_image,
        "job_namespace": job_spec.job_namespace,
        "args": _arguments(job_spec.args),
        "env": _environment(job_spec.env),
        "use_gpu": True,
        "artifacts_dir": job_spec.artifacts_dir,
        "on_trusted_miner": on_trusted_miner,
        "download_time_limit": job_spec.download_time_limit_sec,
        "execution_time_limit": job_spec.execution_time_limit_sec,
        "streaming_start_time_limit": job_spec.streaming_start_time_limit_sec,
        "upload_time_limit": job_spec.upload_time_limit_sec,
    }
    if client_certificate is not None:
        body["streaming_details"] = {"public_key": client_certificate}
    if job_spec.input_volumes is not None:
        body["volumes"] = _volumes(job_spec.input_volumes)
    if job_spec.output_volumes is not None:
        body["uploads"] = _uploads(job_spec.output_volumes)
    return body


def _arguments(args: object) -> list[Any]:
    if args is None:
        return []
    if isinstance(args, str | bytes) or not isinstance(args, Sequence):
        raise ComputeHordeValidationError("args", "must be a list of str, e.g. ['--block', '10']")
    return list(args)


def _environment(env: object) -> dict[Any, Any]:
    return {} if env is None else dict(_mapping("env", env, "str to str"))


def _volumes(input_volumes: object) -> list[dict[str, Any]]:
    kinds = (InlineInputVolume, HTTPInputVolume, HuggingfaceInputVolume)
    found = []
    for path, volume in _mapping("input_volumes", input_volumes, "paths to volumes").items():
        if not isinstance(volume, kinds):
            raise ComputeHordeValidationError(
                f"input_volumes[{path!r:.100}]",
                "must be an InlineInputVolume, HTTPInputVolume or HuggingfaceInputVolume",
            )
        found.append(volume.to_compute_horde_volume(path).model_dump(mode="json"))
    return found


def _uploads(output_volumes: object) -> list[dict[str, Any]]:
    found = []
    for path, volume in _mapping("output_volumes", output_volumes, "paths to volumes").items():
        if not isinstance(volume, HTTPOutputVolume):
            raise ComputeHordeValidationError(
                f"output_volumes[{path!r:.100}]", "must be an HTTPOutputVolume"
            )
        found.append(volume.to_compute_horde_output_upload(path).model_dump(mode="json"))
    return found


def _mapping(name: str, value: object, of: str) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise ComputeHordeValidationError(name, f"must be a mapping of {of}")
    return value

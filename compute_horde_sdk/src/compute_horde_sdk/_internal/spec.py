"""What a job asks for, and the request body that says so.

The body has the published SDK's members in their order; the signature covers what
`compute_horde_common.jobs.spec.JobSpec` holds of it.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError
from typing_extensions import override

from compute_horde_common.jobs.executor_classes import ExecutorClass, known_classes
from compute_horde_common.jobs.spec import JobSpec, StageLimit
from compute_horde_common.protocol import rest
from compute_horde_sdk._internal.errors import ComputeHordeValidationError
from compute_horde_sdk._internal.frame import refuse_too_large
from compute_horde_sdk._internal.mounts import refuse_conflicts, shown
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

_LONE = re.compile("[\ud800-\udfff]")
_CLASS_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
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
        executor_class: the hardware. A network may have other classes than `ExecutorClass`; these
            are named by text.
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

    executor_class: ExecutorClass | str
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


def _class_name(name: str) -> str:
    if name in ExecutorClass.__members__:
        raise ValueError(f"the class is called {ExecutorClass[name].value!r}")
    if not _CLASS_NAME.fullmatch(name):
        known = ", ".join(known.name for known in known_classes())
        raise ValueError(f"{name[:64]!r} is no executor class; there are {known}")
    return name


_ClassName = Annotated[str, AfterValidator(_class_name)]


class _Signed(JobSpec):
    executor_class: _ClassName


class _Wanted(rest.JobCreate):
    """What can be known to be wrong here: which classes a network has beside the usual ones is not
    among it."""

    executor_class: _ClassName
    execution_time_limit: Annotated[StageLimit, Field(gt=0)]

    @override
    def spec(self) -> JobSpec:
        return _Signed.model_validate(self.model_dump())


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
        checked = _Wanted.model_validate(body)
    except ValidationError as error:
        raise ComputeHordeValidationError.of(error, names=_USER_NAMES) from None
    body |= {name: getattr(checked, name) for name in body if name.endswith("_time_limit")}
    try:
        content = compact_json(body)
    except (TypeError, UnicodeEncodeError):
        field = next(_unsendable(body, ""), "value")
        raise ComputeHordeValidationError(
            field, "must be str, and without lone surrogates, which are no characters"
        ) from None
    signed = checked.spec()
    largest = max(body, key=lambda name: len(compact_json(body[name])))
    refuse_too_large(signed, checked.job_namespace, _USER_NAMES.get(largest, largest))
    return CreateRequest(content, signed)


def compact_json(value: object) -> bytes:
    """The JSON text that is sent for a value."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _unsendable(value: object, field: str) -> Iterator[str]:
    """The fields that have text that cannot be sent."""
    if isinstance(value, bytes | bytearray) or (isinstance(value, str) and _LONE.search(value)):
        yield field
    if isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _unsendable(inner, f"{field}.{place}")
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _unsendable(name, field)
            member = f"{field}.{name}" if field else _USER_NAMES.get(name, str(name))
            yield from _unsendable(inner, member)


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
    is_file: dict[str, bool] = {}
    for path, volume in _mapping("input_volumes", input_volumes, "paths to volumes").items():
        if not isinstance(volume, kinds):
            raise ComputeHordeValidationError(
                f"input_volumes[{shown(path)}]",
                "must be an InlineInputVolume, HTTPInputVolume or HuggingfaceInputVolume",
            )
        sent = volume.to_compute_horde_volume(path)
        found.append(sent.model_dump(mode="json"))
        folder = PurePosixPath("/volume", sent.relative_path or "")
        is_file[path] = isinstance(volume, HTTPInputVolume) or folder != PurePosixPath(path)
    refuse_conflicts("input_volumes", is_file)
    return found


def _uploads(output_volumes: object) -> list[dict[str, Any]]:
    found = []
    asked = _mapping("output_volumes", output_volumes, "paths to volumes")
    for path, volume in asked.items():
        if not isinstance(volume, HTTPOutputVolume):
            raise ComputeHordeValidationError(
                f"output_volumes[{shown(path)}]", "must be an HTTPOutputVolume"
            )
        found.append(volume.to_compute_horde_output_upload(path).model_dump(mode="json"))
    refuse_conflicts("output_volumes", dict.fromkeys(asked, True))
    return found


def _mapping(name: str, value: object, of: str) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise ComputeHordeValidationError(name, f"must be a mapping of {of}")
    return value

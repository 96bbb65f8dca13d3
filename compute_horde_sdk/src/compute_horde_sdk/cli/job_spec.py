"""The SDK's job spec of what flags and a job file say."""

import base64
import dataclasses
import io
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from compute_horde_common.jobs.executor_classes import ExecutorClass
from compute_horde_sdk.cli.job_file import Input, Job, Output
from compute_horde_sdk.cli.settings import Settings
from compute_horde_sdk.cli.trouble import WrongUsage
from compute_horde_sdk.v1 import (
    ComputeHordeJobSpec,
    HTTPInputVolume,
    HTTPOutputVolume,
    HuggingfaceInputVolume,
    InlineInputVolume,
    InputVolume,
)

_EXPORT = re.compile(r"^export\s+")


def spec_of(job: Job, settings: Settings) -> ComputeHordeJobSpec:
    """What is to be run.

    Raises:
        WrongUsage: something is missing, or a file cannot be read.
    """
    job_class = job.job_class or settings.job_class
    namespace = job.namespace or settings.namespace
    if not job.image:
        raise WrongUsage("no image is named", "Say which: horde run IMAGE [ARGS]...")
    if not job_class:
        raise WrongUsage("no executor class is chosen", "Add --class; `horde classes` lists them.")
    if not namespace:
        raise WrongUsage("the job has no namespace", "Add --namespace, by convention e.g. SN123.0.")
    return dataclasses.replace(
        ComputeHordeJobSpec(_class(job_class), namespace, job.image),
        **{f"{name}_time_limit_sec": value for name, value in job.limits if value is not None},
        args=job.args,
        env={**(variables(job.env_file) if job.env_file else {}), **job.env},
        artifacts_dir=job.artifacts,
        input_volumes=_inputs(job.input) or None,
        output_volumes={path: _output(output) for path, output in job.output.items()} or None,
        streaming=job.streaming,
    )


def variables(file: Path) -> Mapping[str, str]:
    """The variables of a file with a line ``NAME=value`` for each; ``#`` starts a comment line.

    Raises:
        WrongUsage: it cannot be read, or a line is something else.
    """
    found = {}
    try:
        text = _read(file, "--env-file").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise WrongUsage(f"{file} is no text in UTF-8", "Check --env-file.") from error
    for number, line in enumerate(text.split("\n"), 1):
        name, equals, value = line.rstrip("\r").partition("=")
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not equals or not name.strip():
            raise WrongUsage(f"{file}, line {number} is not NAME=value", "Correct the file.")
        found[_EXPORT.sub("", name.strip())] = value
    return found


def _class(name: str) -> ExecutorClass:
    # A network may have classes of its own; the client says what it thinks of them.
    known = {member.value: member for member in ExecutorClass}
    return known.get(name, name)  # type: ignore[arg-type]  # as texts are taken, too


def _inputs(sources: Mapping[str, Input]) -> dict[str, InputVolume]:
    volumes: dict[str, InputVolume] = {}
    for mount, source in sources.items():
        path, volume = _input(mount, source)
        if path in volumes:
            raise WrongUsage(
                f"two inputs would be unpacked into {path}",
                "Put the files into one folder, and give that.",
            )
        volumes[path] = volume
    return volumes


def _input(mount: str, source: Input) -> tuple[str, InputVolume]:
    if source.url is not None:
        return mount, HTTPInputVolume(url=source.url, sha256=source.sha256)
    if source.repo_id is not None:
        return mount, HuggingfaceInputVolume(
            repo_id=source.repo_id,
            repo_type=source.repo_type,
            revision=source.revision,
            allow_patterns=source.allow_patterns,
        )
    return _local_input(mount, Path(str(source.path)))


def _local_input(mount: str, path: Path) -> tuple[str, InputVolume]:
    if path.is_dir():
        return mount, InlineInputVolume.from_directory(path)
    contents = _read(path, f"--input {mount}")
    if mount.endswith("/"):
        return mount, InlineInputVolume.from_path(path)
    if not zipfile.is_zipfile(io.BytesIO(contents)):
        return mount, InlineInputVolume(contents=base64.b64encode(contents).decode())
    # A zip would be unpacked; within another one it stays the file that it is.
    target = PurePosixPath(mount)
    return f"{target.parent}/", InlineInputVolume.from_file_contents(target.name, contents)


def _output(output: Output) -> HTTPOutputVolume:
    return HTTPOutputVolume(
        http_method=output.http_method,
        url=output.url,
        form_fields=output.form_fields,
        signed_headers=output.signed_headers,
    )


def _read(path: Path, flag: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise WrongUsage(f"{path} cannot be read: {error.strerror}", f"Check {flag}.") from error

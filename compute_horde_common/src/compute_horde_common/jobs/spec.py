"""`JobSpec`: what the author of a job asks for, exactly the members that the job's signature
covers, in the order in which it covers them."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from compute_horde_common.jobs.executor_classes import (
    DEFAULT_EXECUTOR_CLASS,
    ExecutorClassName,
)
from compute_horde_common.jobs.paths import absolute_directory
from compute_horde_common.jobs.timing import MAX_LIMIT_SECONDS, Limits
from compute_horde_common.jobs.uploads import MAX_UPLOADS, SingleFileUpload
from compute_horde_common.jobs.volumes import MAX_VOLUMES, SimpleVolume

MAX_ARGS = 4096
MAX_ENV = 1024
_IMAGE = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?/)?"
    r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)


def image_name(name: str) -> str:
    """``name`` if it can be the name of a Docker image.

    Raises:
        ValueError: it cannot.
    """
    if not _IMAGE.fullmatch(name):
        raise ValueError(
            f"{name[:100]!r} is no image name; expected e.g. registry.example.com/team/image:tag"
        )
    return name


def _variables(env: dict[str, str]) -> dict[str, str]:
    for name, value in env.items():
        if not name or "=" in name or "\0" in name or "\0" in value:
            raise ValueError(f"variable {name[:50]!r} is empty or has '=' or a NUL in it")
    return env


def _arguments(args: list[str]) -> list[str]:
    if any("\0" in arg for arg in args):
        raise ValueError("an argument has a NUL in it")
    return args


def _directory(path: str) -> str:
    return absolute_directory(path) if path else ""


def _empty_for_null(value: object) -> object:
    return "" if value is None else value


ImageName = Annotated[str, Field(max_length=255), AfterValidator(image_name)]
Arguments = Annotated[list[str], Field(max_length=MAX_ARGS), AfterValidator(_arguments)]
Environment = Annotated[dict[str, str], Field(max_length=MAX_ENV), AfterValidator(_variables)]
ArtifactsDir = Annotated[
    str, Field(max_length=255), BeforeValidator(_empty_for_null), AfterValidator(_directory)
]
StageLimit = Annotated[int, Field(ge=0, le=MAX_LIMIT_SECONDS)]


class StreamingDetails(BaseModel):
    """What a streaming job needs: the client's certificate (PEM) and, towards the executor, the
    address that its own certificate must name."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    public_key: str = Field(max_length=65_536)
    executor_ip: str | None = None


class JobSpec(BaseModel):
    """What the author of a job asks for. ``artifacts_dir`` is empty when there is none."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    executor_class: ExecutorClassName = DEFAULT_EXECUTOR_CLASS.value
    docker_image: ImageName
    args: Arguments = []
    env: Environment = {}
    use_gpu: bool = False
    artifacts_dir: ArtifactsDir = ""
    on_trusted_miner: bool = False
    download_time_limit: StageLimit
    execution_time_limit: StageLimit
    upload_time_limit: StageLimit
    streaming_start_time_limit: StageLimit
    streaming_details: StreamingDetails | None = None
    volumes: list[SimpleVolume] = Field(default=[], max_length=MAX_VOLUMES)
    uploads: list[SingleFileUpload] = Field(default=[], max_length=MAX_UPLOADS)

    @property
    def limits(self) -> Limits:
        """The stages' limits; a job that does not stream has none for its start."""
        return Limits(
            download=self.download_time_limit,
            execution=self.execution_time_limit,
            upload=self.upload_time_limit,
            streaming_start=self.streaming_start_time_limit if self.streaming_details else 0,
        )

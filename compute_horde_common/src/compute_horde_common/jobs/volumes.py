"""The kinds of input volume, one discriminated union.

The order of members is part of the wire: a job's signature covers the serialised text.
Paths are relative to ``/volume/`` in the job's container.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from compute_horde_common.jobs.paths import safe_relative_path, web_url

MAX_VOLUMES = 64


class _Volume(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


FolderPath = Annotated[str, AfterValidator(safe_relative_path)]
WebUrl = Annotated[str, AfterValidator(web_url)]


class InlineVolume(_Volume):
    """A base64 zip in the request itself, unpacked below ``relative_path``; or the base64 contents
    of the file at ``relative_path``, where they are no zip."""

    volume_type: Literal["inline"] = "inline"
    contents: str
    relative_path: FolderPath | None = None


class ZipUrlVolume(_Volume):
    """A zip behind a URL (in ``contents``), unpacked below ``relative_path``.

    The URL may end in ``#sha256=`` and the 64 hexadecimal digits that the zip must have.
    """

    volume_type: Literal["zip_url"] = "zip_url"
    contents: WebUrl
    relative_path: FolderPath | None = None


class SingleFileVolume(_Volume):
    """One file behind a URL, stored at ``relative_path``.

    The URL may end in ``#sha256=`` and the 64 hexadecimal digits that the file must have.
    """

    volume_type: Literal["single_file"] = "single_file"
    url: WebUrl
    relative_path: FolderPath


class HuggingfaceVolume(_Volume):
    """A snapshot of a repository on a Hugging Face hub, below ``relative_path``."""

    volume_type: Literal["huggingface_volume"] = "huggingface_volume"
    repo_id: str = Field(min_length=1, max_length=255)
    repo_type: str | None = None
    revision: str | None = None
    relative_path: FolderPath | None = None
    allow_patterns: str | list[str] | None = None
    token: str | None = None


SimpleVolume = Annotated[
    InlineVolume | ZipUrlVolume | SingleFileVolume | HuggingfaceVolume,
    Field(discriminator="volume_type"),
]


class MultiVolume(_Volume):
    """Several volumes. Where two of them have the same file, the later one's is there."""

    volume_type: Literal["multi_volume"] = "multi_volume"
    volumes: list[SimpleVolume] = Field(max_length=MAX_VOLUMES)


Volume = Annotated[
    InlineVolume | ZipUrlVolume | SingleFileVolume | HuggingfaceVolume | MultiVolume,
    Field(discriminator="volume_type"),
]


def combined(volumes: list[SimpleVolume]) -> MultiVolume | None:
    """One volume that stands for a list of them; ``None`` for none."""
    return MultiVolume(volumes=volumes) if volumes else None


def separate(volume: Volume | None) -> list[SimpleVolume]:
    """The simple volumes in a volume, in order."""
    match volume:
        case None:
            return []
        case MultiVolume():
            return list(volume.volumes)
        case _:
            return [volume]

"""The kinds of output upload, one discriminated union.

The order of members is part of the wire: a job's signature covers the serialised text.
Paths are relative to ``/output/`` in the job's container.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from compute_horde_common.jobs.paths import canonical_relative_path
from compute_horde_common.jobs.volumes import WebUrl

MAX_UPLOADS = 64


class _Upload(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


OutputPath = Annotated[str, AfterValidator(canonical_relative_path)]


class ZipAndHttpPostUpload(_Upload):
    """Everything below ``/output`` as one zip, in a multipart POST."""

    output_upload_type: Literal["zip_and_http_post"] = "zip_and_http_post"
    url: WebUrl
    form_fields: dict[str, str] | None = None


class ZipAndHttpPutUpload(_Upload):
    """Everything below ``/output`` as one zip, in a PUT."""

    output_upload_type: Literal["zip_and_http_put"] = "zip_and_http_put"
    url: WebUrl


class SingleFilePostUpload(_Upload):
    """One file, in a multipart POST: the form fields, then a part named ``file``."""

    output_upload_type: Literal["single_file_post"] = "single_file_post"
    url: WebUrl
    form_fields: dict[str, str] | None = None
    relative_path: OutputPath
    signed_headers: dict[str, str] | None = None


class SingleFilePutUpload(_Upload):
    """One file as the body of a PUT."""

    output_upload_type: Literal["single_file_put"] = "single_file_put"
    url: WebUrl
    relative_path: OutputPath
    signed_headers: dict[str, str] | None = None


SingleFileUpload = Annotated[
    SingleFilePostUpload | SingleFilePutUpload, Field(discriminator="output_upload_type")
]
ZipUpload = Annotated[
    ZipAndHttpPostUpload | ZipAndHttpPutUpload, Field(discriminator="output_upload_type")
]


class MultiUpload(_Upload):
    """Several single files, and optionally a zip of everything else."""

    output_upload_type: Literal["multi_upload"] = "multi_upload"
    uploads: list[SingleFileUpload] = Field(max_length=MAX_UPLOADS)
    system_output: ZipUpload | None = None


OutputUpload = Annotated[
    ZipAndHttpPostUpload
    | ZipAndHttpPutUpload
    | SingleFilePostUpload
    | SingleFilePutUpload
    | MultiUpload,
    Field(discriminator="output_upload_type"),
]


def combined(uploads: list[SingleFileUpload]) -> MultiUpload | None:
    """One upload that stands for a list of them; ``None`` for none."""
    return MultiUpload(uploads=uploads) if uploads else None


def separate(upload: OutputUpload | None) -> list[SingleFileUpload]:
    """The single-file uploads in an upload, in order; zip uploads are not among them."""
    match upload:
        case MultiUpload():
            return list(upload.uploads)
        case SingleFilePostUpload() | SingleFilePutUpload():
            return [upload]
        case _:
            return []

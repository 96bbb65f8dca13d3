"""What a job reads and where it sends what it writes, as users give it."""

import base64
import io
import zipfile
from typing import Literal

from pydantic import BaseModel

from compute_horde_common.jobs.uploads import (
    SingleFilePostUpload,
    SingleFilePutUpload,
    SingleFileUpload,
)
from compute_horde_common.jobs.volumes import (
    HuggingfaceVolume,
    InlineVolume,
    SimpleVolume,
    SingleFileVolume,
)

VOLUME = "/volume/"
OUTPUT = "/output/"


class _InputVolume(BaseModel):
    def get_volume_relative_path(self, mount_path: str) -> str:
        """``mount_path`` without ``/volume/``; ``ValueError`` if it does not start so."""
        return _below(VOLUME, mount_path)


class InlineInputVolume(_InputVolume):
    """A base64 zip, sent with the job and unpacked at its mount path. For small things."""

    contents: str

    @classmethod
    def from_file_contents(
        cls, filename: str, contents: bytes, compress: bool = False
    ) -> "InlineInputVolume":
        """A volume with one file; its mount path is the directory to unpack into."""
        packed = io.BytesIO()
        method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
        with zipfile.ZipFile(packed, "w", method) as archive:
            archive.writestr(filename, contents)
        return cls(contents=base64.b64encode(packed.getvalue()).decode())

    def to_compute_horde_volume(self, mount_path: str) -> SimpleVolume:
        """What travels."""
        relative_path = self.get_volume_relative_path(mount_path)
        return InlineVolume(contents=self.contents, relative_path=relative_path)


class HTTPInputVolume(_InputVolume):
    """A file behind a URL, stored at its mount path."""

    url: str

    def to_compute_horde_volume(self, mount_path: str) -> SimpleVolume:
        """What travels."""
        relative_path = self.get_volume_relative_path(mount_path)
        return SingleFileVolume(url=self.url, relative_path=relative_path)


class HuggingfaceInputVolume(_InputVolume):
    """A snapshot of a Hugging Face repository, below its mount path.

    ``repo_type`` is model, dataset or space (default model); ``allow_patterns`` are file names
    with wildcards.
    """

    repo_id: str
    repo_type: str | None = None
    revision: str | None = None
    allow_patterns: str | list[str] | None = None

    def to_compute_horde_volume(self, mount_path: str) -> SimpleVolume:
        """What travels."""
        return HuggingfaceVolume(
            repo_id=self.repo_id,
            repo_type=self.repo_type,
            revision=self.revision,
            relative_path=self.get_volume_relative_path(mount_path),
            allow_patterns=self.allow_patterns,
        )


class HTTPOutputVolume(BaseModel):
    """A file that is sent to a URL when the job has ended well.

    ``form_fields`` go before the file in a POST; ``signed_headers`` are added to the request.
    """

    http_method: Literal["POST", "PUT"]
    url: str
    form_fields: dict[str, str] | None = None
    signed_headers: dict[str, str] | None = None

    def get_volume_relative_path(self, mount_path: str) -> str:
        """``mount_path`` without ``/output/``; ``ValueError`` if it does not start so."""
        return _below(OUTPUT, mount_path)

    def to_compute_horde_output_upload(self, mount_path: str) -> SingleFileUpload:
        """What travels."""
        relative_path = self.get_volume_relative_path(mount_path)
        if self.http_method == "PUT":
            if self.form_fields:
                raise ValueError("form_fields need http_method POST")
            return SingleFilePutUpload(
                url=self.url, relative_path=relative_path, signed_headers=self.signed_headers
            )
        return SingleFilePostUpload(
            url=self.url,
            form_fields=self.form_fields,
            relative_path=relative_path,
            signed_headers=self.signed_headers,
        )


InputVolume = InlineInputVolume | HTTPInputVolume | HuggingfaceInputVolume
OutputVolume = HTTPOutputVolume


def _below(folder: str, mount_path: str) -> str:
    if not mount_path.startswith(folder):
        raise ValueError(f"{mount_path!r} must start with {folder}")
    return mount_path.removeprefix(folder)

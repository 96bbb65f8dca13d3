"""What goes into a job's container and what comes out of it.

Paths are those in the container: inputs below ``/volume/``, outputs below ``/output/``.
"""

import base64
import binascii
import io
import zipfile
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from compute_horde_common.jobs import uploads, volumes
from compute_horde_common.jobs.paths import safe_relative_path
from compute_horde_sdk._internal.errors import ComputeHordeValidationError

INPUT_PREFIX = "/volume/"
OUTPUT_PREFIX = "/output/"
SHA256 = r"^[0-9a-fA-F]{64}$"
# The oldest time that a zip can name. The same contents always make the same zip.
ZIP_TIME = (1980, 1, 1, 0, 0, 0)

T = TypeVar("T")


class _Described(BaseModel):
    model_config = ConfigDict(extra="ignore")

    def __init__(self, **fields: Any) -> None:  # noqa: ANN401 - pydantic says what is wrong with them
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise ComputeHordeValidationError.of(error, inside=type(self).__name__) from error


class _Input(_Described):
    def get_volume_relative_path(self, mount_path: str) -> str:
        """``mount_path`` relative to ``/volume/``.

        Raises:
            ComputeHordeValidationError: it is not below ``/volume/``.
        """
        return _relative(mount_path, INPUT_PREFIX)


class InlineInputVolume(_Input):
    """A small folder that travels within the request itself (2.5 MB in all).

    ``contents`` is the base64 of a zip, unpacked into the folder at the mount path. Base64 of
    anything else becomes the file at the mount path.
    """

    contents: str

    @classmethod
    def from_file_contents(
        cls, filename: str, contents: bytes, compress: bool = False
    ) -> "InlineInputVolume":
        """A folder with one file in it, to be mounted at the folder's path.

        Args:
            filename: path of the file, relative to the folder.
            contents: what is in it.
            compress: whether to compress it.

        Raises:
            ComputeHordeValidationError: ``filename`` does not stay inside of the folder.
        """
        try:
            name = safe_relative_path(filename)
        except ValueError as error:
            raise ComputeHordeValidationError("filename", str(error)) from None
        if not name or name.endswith("/"):
            raise ComputeHordeValidationError("filename", "must name a file, e.g. data.json")
        return cls(contents=_zip_of_one(name, contents, compress=compress))

    def to_compute_horde_volume(self, mount_path: str) -> volumes.InlineVolume:
        """The wire's form of this volume, mounted at a path."""
        path = self.get_volume_relative_path(mount_path)
        try:
            raw = base64.b64decode(self.contents, validate=True)
        except (binascii.Error, ValueError):
            raise ComputeHordeValidationError(
                _input_field(mount_path),
                "contents must be base64; for plain bytes use InlineInputVolume.from_file_contents",
            ) from None
        contents = self.contents
        if not zipfile.is_zipfile(io.BytesIO(raw)):
            file = PurePosixPath(_file_path(path, mount_path))
            contents = _zip_of_one(file.name, raw, compress=False)
            path = "" if file.parent == PurePosixPath() else str(file.parent)
        return _checked(
            lambda: volumes.InlineVolume(contents=contents, relative_path=path),
            _input_field(mount_path),
        )


class HTTPInputVolume(_Input):
    """One file, fetched from ``url``; the mount path is the file's.

    ``sha256`` is the digest (64 hexadecimal digits) that its contents must have, or the job fails.
    It travels as the fragment ``#sha256=`` of the URL.
    """

    url: str
    sha256: Annotated[str, Field(pattern=SHA256)] | None = None

    def to_compute_horde_volume(self, mount_path: str) -> volumes.SingleFileVolume:
        """The wire's form of this volume, mounted at a path."""
        path = _file_path(self.get_volume_relative_path(mount_path), mount_path)
        return _checked(
            lambda: volumes.SingleFileVolume(url=self._address(mount_path), relative_path=path),
            _input_field(mount_path),
        )

    def _address(self, mount_path: str) -> str:
        if self.sha256 is None:
            return self.url
        if "#" in self.url:
            raise ComputeHordeValidationError(
                _input_field(mount_path), "the url must have no fragment (#) where sha256 is given"
            )
        return f"{self.url}#sha256={self.sha256.lower()}"


class HuggingfaceInputVolume(_Input):
    """A snapshot of a repository on Hugging Face; the mount path is the folder's.

    ``repo_type`` is ``model``, ``dataset`` or ``space``; ``revision`` a branch, tag or commit;
    ``allow_patterns`` picks files. ``None`` is Hugging Face's own default of each.
    """

    repo_id: str
    repo_type: str | None = None
    revision: str | None = None
    allow_patterns: str | list[str] | None = None

    def to_compute_horde_volume(self, mount_path: str) -> volumes.HuggingfaceVolume:
        """The wire's form of this volume, mounted at a path."""
        path = self.get_volume_relative_path(mount_path)
        return _checked(
            lambda: volumes.HuggingfaceVolume(
                repo_id=self.repo_id,
                repo_type=self.repo_type,
                revision=self.revision,
                relative_path=path,
                allow_patterns=self.allow_patterns,
            ),
            _input_field(mount_path),
        )


class HTTPOutputVolume(_Described):
    """One file that is sent to ``url`` when the job has run; the path is the file's.

    ``form_fields`` go before the file and need ``POST``; ``signed_headers`` are added to the
    request. An upload that fails, fails the job.
    """

    http_method: Literal["POST", "PUT"]
    url: str
    form_fields: dict[str, str] | None = None
    signed_headers: dict[str, str] | None = None

    def get_volume_relative_path(self, mount_path: str) -> str:
        """``mount_path`` relative to ``/output/``.

        Raises:
            ComputeHordeValidationError: it is not below ``/output/``.
        """
        return _relative(mount_path, OUTPUT_PREFIX)

    def to_compute_horde_output_upload(
        self, mount_path: str
    ) -> uploads.SingleFilePutUpload | uploads.SingleFilePostUpload:
        """The wire's form of this upload of the file at a path."""
        field = _output_field(mount_path)
        path = self.get_volume_relative_path(mount_path)
        if self.http_method == "POST":
            return _checked(
                lambda: uploads.SingleFilePostUpload(
                    url=self.url,
                    form_fields=self.form_fields,
                    relative_path=path,
                    signed_headers=self.signed_headers,
                ),
                field,
            )
        if self.form_fields:
            raise ComputeHordeValidationError(
                field, "form_fields cannot be sent with PUT; use http_method='POST'"
            )
        return _checked(
            lambda: uploads.SingleFilePutUpload(
                url=self.url, relative_path=path, signed_headers=self.signed_headers
            ),
            field,
        )


InputVolume = InlineInputVolume | HTTPInputVolume | HuggingfaceInputVolume
OutputVolume = HTTPOutputVolume


def _relative(mount_path: object, prefix: str) -> str:
    if not isinstance(mount_path, str) or not mount_path.startswith(prefix):
        fields = {INPUT_PREFIX: _input_field, OUTPUT_PREFIX: _output_field}
        raise ComputeHordeValidationError(
            fields[prefix](mount_path), f"the path must start with {prefix}"
        )
    return mount_path.removeprefix(prefix)


def _file_path(relative_path: str, mount_path: str) -> str:
    if not relative_path or relative_path.endswith("/"):
        raise ComputeHordeValidationError(
            _input_field(mount_path), "the path must name a file, e.g. /volume/data.json"
        )
    return relative_path


def _checked(make: Callable[[], T], field: str) -> T:
    try:
        return make()
    except ValidationError as error:
        raise ComputeHordeValidationError.of(error, inside=field) from error


def _zip_of_one(name: str, contents: bytes, *, compress: bool) -> str:
    buffer = io.BytesIO()
    member = zipfile.ZipInfo(name, ZIP_TIME)
    member.compress_type = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    member.external_attr = 0o644 << 16
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(member, contents)
    return base64.b64encode(buffer.getvalue()).decode()


def _input_field(mount_path: object) -> str:
    return f"input_volumes[{mount_path!r:.100}]"


def _output_field(mount_path: object) -> str:
    return f"output_volumes[{mount_path!r:.100}]"

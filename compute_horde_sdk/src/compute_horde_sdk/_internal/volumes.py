"""What goes into a job's container and what comes out of it.

Paths are those in the container: inputs below ``/volume/``, outputs below ``/output/``.
"""

import base64
import binascii
import io
import logging
import os
import re
import zipfile
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from typing_extensions import Self

from compute_horde_common.jobs import uploads, volumes
from compute_horde_common.jobs.paths import safe_relative_path
from compute_horde_sdk._internal.errors import ComputeHordeValidationError
from compute_horde_sdk._internal.folders import zip_of_folder, zip_of_one, zip_of_path
from compute_horde_sdk._internal.mounts import relative, shown

INPUT_PREFIX = "/volume/"
OUTPUT_PREFIX = "/output/"
SHA256 = r"^[0-9a-fA-F]{64}$"

REPOSITORY = r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,95}(/[A-Za-z0-9_][A-Za-z0-9._-]{0,95})?$"
REPOSITORY_TYPES = ("model", "dataset", "space")
HEADER_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
HEADER_VALUE = r"[^\x00-\x08\x0a-\x1f\x7f]*"
ZIP_START = b"PK\x03\x04"
URL_SAFE = str.maketrans("-_", "+/")

T = TypeVar("T")
logger = logging.getLogger(__name__)


class _Described(BaseModel):
    model_config = ConfigDict(extra="ignore")

    def __init__(self, **fields: Any) -> None:  # noqa: ANN401 - pydantic says what is wrong with them
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise ComputeHordeValidationError.of(error, inside=type(self).__name__) from None
        if unknown := sorted(fields.keys() - type(self).model_fields.keys()):
            kind = type(self).__name__
            logger.warning("volume has no such fields, they are not sent: %s %s", kind, unknown)

    def check(self) -> None:
        """Checks the fields again: they may have been changed since.

        Raises:
            ComputeHordeValidationError: one cannot work.
        """
        type(self)(**{name: getattr(self, name, None) for name in type(self).model_fields})


class _Input(_Described):
    def get_volume_relative_path(self, mount_path: str) -> str:
        """``mount_path`` relative to ``/volume/``.

        Raises:
            ComputeHordeValidationError: it is not below ``/volume/``.
        """
        return relative(mount_path, INPUT_PREFIX, _input_field(mount_path))


class InlineInputVolume(_Input):
    """A small folder that travels within the request itself (1 MiB for the whole job).

    ``contents`` is the base64 of a zip, unpacked into the folder at the mount path. Base64 of
    anything else becomes the file at the mount path. The base64 may have line breaks, and may be
    of the alphabet for URLs.
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
            ComputeHordeValidationError: ``filename`` does not stay inside of the folder, or
                ``contents`` are no bytes.
        """
        if not isinstance(filename, str):
            raise ComputeHordeValidationError("filename", "must be a str, e.g. data.json")
        try:
            name = safe_relative_path(filename)
            filename.encode()
        except ValueError as error:
            raise ComputeHordeValidationError("filename", str(error)) from None
        if not name or name.endswith("/"):
            raise ComputeHordeValidationError("filename", "must name a file, e.g. data.json")
        return cls(contents=zip_of_one(name, _bytes(contents), compress=compress))

    @classmethod
    def from_directory(
        cls, path: "str | os.PathLike[str]", *, compress: bool = True, exclude: Iterable[str] = ()
    ) -> Self:
        """All files of a folder of this machine, to be mounted as a folder.

        The same files make the same volume. Files that may be executed stay so; links within the
        folder become copies.

        Args:
            path: the folder.
            compress: whether to compress the files.
            exclude: patterns of what to leave out: of paths relative to the folder, or of names,
                e.g. ``[".git", "*.pyc", "data/raw"]``.

        Raises:
            ComputeHordeValidationError: it is no folder, something in it cannot be taken along, or
                it is too large.
        """
        return cls(contents=zip_of_folder(path, compress=compress, exclude=exclude))

    @classmethod
    def from_path(
        cls, path: "str | os.PathLike[str]", *, compress: bool = True, exclude: Iterable[str] = ()
    ) -> Self:
        """A file of this machine, or all files of a folder, to be mounted as a folder.

        A file is in that folder under its own name. Else as `from_directory`.
        """
        return cls(contents=zip_of_path(path, compress=compress, exclude=exclude))

    def to_compute_horde_volume(self, mount_path: str) -> volumes.InlineVolume:
        """The wire's form of this volume, mounted at a path."""
        path = self.get_volume_relative_path(mount_path)
        self.check()
        contents = "".join(self.contents.split()).translate(URL_SAFE)
        raw = _decoded(contents, mount_path)
        if not _is_zip(raw):
            file = PurePosixPath(_file_path(path, mount_path))
            if raw.startswith(ZIP_START):
                raise ComputeHordeValidationError(
                    _input_field(mount_path), "contents are a zip that is broken or cut off"
                )
            _checked(
                lambda: volumes.InlineVolume(contents="", relative_path=path),
                _input_field(mount_path),
            )
            contents = _zipped(file.name, raw, mount_path)
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
        self.check()
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
    ``allow_patterns`` picks files. ``None`` is Hugging Face's own default of each. There is no
    ``token``: a job's fields are no place for secrets, and the executor uses its own.
    """

    repo_id: str
    repo_type: str | None = None
    revision: str | None = None
    allow_patterns: str | list[str] | None = None

    def to_compute_horde_volume(self, mount_path: str) -> volumes.HuggingfaceVolume:
        """The wire's form of this volume, mounted at a path."""
        path = self.get_volume_relative_path(mount_path)
        self.check()
        self._refuse_unknown_form(_input_field(mount_path))
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

    def _refuse_unknown_form(self, field: str) -> None:
        if not re.fullmatch(REPOSITORY, self.repo_id) or ".." in self.repo_id:
            raise ComputeHordeValidationError(
                f"{field}.repo_id", "must be a name on Hugging Face, e.g. 'openai/whisper-tiny'"
            )
        if self.repo_type is not None and self.repo_type not in REPOSITORY_TYPES:
            raise ComputeHordeValidationError(
                f"{field}.repo_type", f"must be one of {', '.join(REPOSITORY_TYPES)}, or None"
            )
        if self.revision is not None and not (self.revision and self.revision.isprintable()):
            raise ComputeHordeValidationError(
                f"{field}.revision", "must be a branch, a tag or a commit, or None"
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
        return relative(mount_path, OUTPUT_PREFIX, _output_field(mount_path))

    def to_compute_horde_output_upload(
        self, mount_path: str
    ) -> uploads.SingleFilePutUpload | uploads.SingleFilePostUpload:
        """The wire's form of this upload of the file at a path."""
        field = _output_field(mount_path)
        path = self.get_volume_relative_path(mount_path)
        self.check()
        _refuse_bad_headers(self.signed_headers or {}, f"{field}.signed_headers")
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
"""What can be put below ``/volume/``."""

OutputVolume = HTTPOutputVolume
"""Where a file below ``/output/`` can be sent."""


def _file_path(relative_path: str, mount_path: str) -> str:
    if not relative_path or relative_path.endswith("/"):
        raise ComputeHordeValidationError(
            _input_field(mount_path), "the path must name a file, e.g. /volume/data.json"
        )
    return relative_path


def _bytes(contents: object) -> bytes:
    """Text is taken, too: as UTF-8."""
    if not isinstance(contents, str | bytes | bytearray | memoryview):
        raise ComputeHordeValidationError("contents", "must be bytes")
    try:
        return contents.encode() if isinstance(contents, str) else bytes(contents)
    except ValueError as error:
        raise ComputeHordeValidationError("contents", str(error)) from None


def _decoded(contents: str, mount_path: str) -> bytes:
    try:
        return base64.b64decode(contents, validate=True)
    except (binascii.Error, ValueError):
        raise ComputeHordeValidationError(
            _input_field(mount_path),
            "contents must be base64; for plain bytes use InlineInputVolume.from_file_contents",
        ) from None


def _is_zip(raw: bytes) -> bool:
    """Also one with something before it, as programs that unpack themselves are."""
    try:
        return zipfile.is_zipfile(io.BytesIO(raw))
    except zipfile.BadZipFile:
        return False


def _zipped(name: str, raw: bytes, mount_path: str) -> str:
    try:
        return zip_of_one(name, raw, compress=False)
    except ValueError as error:
        problem = f"cannot be the name of a file: {error}"
        raise ComputeHordeValidationError(_input_field(mount_path), problem) from None


def _refuse_bad_headers(headers: dict[str, str], field: str) -> None:
    for name, value in headers.items():
        if not re.fullmatch(HEADER_NAME, name) or not re.fullmatch(HEADER_VALUE, value):
            raise ComputeHordeValidationError(
                field, f"{shown(name)} is no HTTP header; line breaks and the like cannot be sent"
            )


def _checked(make: Callable[[], T], field: str) -> T:
    try:
        return make()
    except ValidationError as error:
        raise ComputeHordeValidationError.of(error, inside=field) from None


def _input_field(mount_path: object) -> str:
    return f"input_volumes[{shown(mount_path)}]"


def _output_field(mount_path: object) -> str:
    return f"output_volumes[{shown(mount_path)}]"

"""Files of a folder to where uploads say, with the code that executors use where it is
installed."""

import importlib
from pathlib import Path
from typing import Any

from typing_extensions import Self

from compute_horde_common.jobs.uploads import OutputUpload
from compute_horde_sdk._internal.errors import ComputeHordeError
from compute_horde_sdk._internal.results import HttpOutputVolumeResponse


class OutputUploadFailed(ComputeHordeError):
    """Something cannot be uploaded; the text says why."""


class OutputUploader:
    """Makes one upload, to servers of the local network, too."""

    def __init__(self, upload_output: OutputUpload) -> None:
        self.upload_output = upload_output

    @classmethod
    def for_upload_output(cls, upload_output: OutputUpload) -> Self:
        """The uploader of an upload."""
        return cls(upload_output)

    async def upload(self, directory: Path) -> dict[str, HttpOutputVolumeResponse]:
        """Sends what the upload names of a directory.

        Returns:
            What the servers answered for single files, by their paths.

        Raises:
            OutputUploadFailed: something is not there, or cannot be sent.
        """
        transfers = _transfers()
        try:
            answers = await transfers.upload(self.upload_output, Path(directory))
        except transfers.FAILURES as error:
            raise OutputUploadFailed(str(error)) from error
        return {
            path: HttpOutputVolumeResponse(headers=answer.headers, body=answer.body)
            for path, answer in answers.items()
        }


def _transfers() -> Any:  # noqa: ANN401 - a module
    try:
        return importlib.import_module("compute_horde_core.output_upload.transfers")
    except ImportError as error:
        raise OutputUploadFailed(
            "to upload by yourself, use Python 3.11 or later and"
            f' pip install "compute-horde-sdk[local]" ({error})'
        ) from error

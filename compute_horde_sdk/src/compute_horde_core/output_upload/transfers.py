"""Files of a folder to servers. Needs Python 3.11 and what executors upload with."""

import tempfile
from collections.abc import Collection
from pathlib import Path

from compute_horde_common.jobs.uploads import (
    MultiUpload,
    OutputUpload,
    SingleFilePostUpload,
    SingleFilePutUpload,
    ZipAndHttpPostUpload,
    ZipAndHttpPutUpload,
    separate,
)
from compute_horde_common.transfer.errors import TransferError
from compute_horde_common.transfer.guard import AddressGuard
from compute_horde_common.transfer.send import Sender, UploadResult
from compute_horde_common.transfer.tree import Folder
from compute_horde_common.transfer.zips import pack

FAILURES = (TransferError, OSError)
MOST_BYTES = 2 << 30
WITHIN_SECONDS = 3600.0
ZIP = "output.zip"

Single = SingleFilePostUpload | SingleFilePutUpload
Whole = ZipAndHttpPostUpload | ZipAndHttpPutUpload


async def upload(asked: OutputUpload, directory: Path) -> dict[str, UploadResult]:
    """The answers for single files, by path. Raises one of ``FAILURES``."""
    folder = Folder(directory)
    singles = separate(asked)
    async with Sender(AddressGuard(allow_private=True)) as sender:
        answers = {
            each.relative_path: await _send(sender, each, folder, each.relative_path)
            for each in singles
        }
        whole = asked.system_output if isinstance(asked, MultiUpload) else asked
        if isinstance(whole, Whole):
            await _send_zip(sender, whole, folder, without=answers)
    return answers


async def _send_zip(
    sender: Sender, whole: Whole, folder: Folder, *, without: Collection[str]
) -> None:
    with tempfile.TemporaryDirectory() as made:
        await pack(folder, Folder(Path(made)), ZIP, max_bytes=MOST_BYTES, without=without)
        await _send(sender, whole, Folder(Path(made)), ZIP)


async def _send(sender: Sender, asked: Single | Whole, folder: Folder, path: str) -> UploadResult:
    headers = getattr(asked, "signed_headers", None)
    if isinstance(asked, SingleFilePutUpload | ZipAndHttpPutUpload):
        return await sender.put(asked.url, folder, path, within=WITHIN_SECONDS, headers=headers)
    return await sender.post(
        asked.url,
        folder,
        path,
        within=WITHIN_SECONDS,
        form_fields=asked.form_fields,
        headers=headers,
    )

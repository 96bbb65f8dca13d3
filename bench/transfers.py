"""Downloads, uploads and unpacking against curl and unzip, which do the same on the same files; and
against dd, which reads and writes the same disk."""

import os
import zipfile
from pathlib import Path

from bench.file_server import file_server
from bench.throughput import MEBIBYTES, Work, compared, program
from compute_horde_common.transfer.archives import unpack
from compute_horde_common.transfer.budget import Budget
from compute_horde_common.transfer.fetch import Fetcher
from compute_horde_common.transfer.guard import AddressGuard
from compute_horde_common.transfer.send import Sender
from compute_horde_common.transfer.tree import Folder

_PARTS = 8
_SECONDS = 120
_ENOUGH = 1 << 40


async def transfer_figures(data: Path) -> dict[str, float]:
    """MB/s of each, and how often as fast as its counterpart."""
    folder = Folder.create(data / "transfers")
    sources = _make_sources(data)
    file, archive = sources / "file", sources / "file.zip"
    copying = program("dd", f"if={file}", f"of={data / 'dd'}", "bs=1M")
    with file_server(sources) as url:
        get = program("curl", "-sSf", "-o", str(data / "curl"), f"{url}/file")
        put = program("curl", "-sSf", "-T", str(file), f"{url}/put")
        unzip = program("busybox", "unzip", "-oq", str(archive), "-d", str(data / "unzipped"))
        return {
            **await compared("download", _download(url, folder), "curl", get),
            **await compared("download to disk", _download(url, folder), "dd", copying),
            **await compared("upload", _upload(url, Folder(sources)), "curl", put),
            **await compared("unpack", _unpack(folder, archive), "unzip", unzip),
        }


def _make_sources(data: Path) -> Path:
    """A file without any order in it, and a zip of as many bytes that deflate to a half."""
    sources = data / "sources"
    sources.mkdir()
    content = bytearray(os.urandom(MEBIBYTES << 20))
    (sources / "file").write_bytes(content)
    content[::2] = bytes(len(content) // 2)
    size = len(content) // _PARTS
    with zipfile.ZipFile(sources / "file.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as made:
        for part in range(_PARTS):
            made.writestr(f"part-{part}", content[part * size : (part + 1) * size])
    return sources


def _download(url: str, folder: Folder) -> Work:
    async def work() -> None:
        async with Fetcher(AddressGuard(allow_private=True)) as fetcher:
            budget = Budget(_ENOUGH)
            await fetcher.fetch(f"{url}/file", folder, "file", budget=budget, within=_SECONDS)

    return work


def _upload(url: str, sources: Folder) -> Work:
    async def work() -> None:
        async with Sender(AddressGuard(allow_private=True)) as sender:
            await sender.put(f"{url}/put", sources, "file", within=_SECONDS)

    return work


def _unpack(folder: Folder, path: Path) -> Work:
    async def work() -> None:
        with path.open("rb") as archive:
            await unpack(archive, folder, budget=Budget(_ENOUGH))

    return work

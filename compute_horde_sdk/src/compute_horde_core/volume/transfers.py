"""Volumes into a folder. Needs Python 3.11 and what executors download with."""

import base64
import binascii
import importlib
import io
import os
from pathlib import Path

from typing_extensions import assert_never

from compute_horde_common.jobs.volumes import (
    HuggingfaceVolume,
    InlineVolume,
    MultiVolume,
    SingleFileVolume,
    Volume,
    ZipUrlVolume,
    separate,
)
from compute_horde_common.transfer.archives import is_archive, unpack
from compute_horde_common.transfer.budget import Budget
from compute_horde_common.transfer.errors import TransferError
from compute_horde_common.transfer.fetch import Fetcher
from compute_horde_common.transfer.guard import AddressGuard
from compute_horde_common.transfer.tree import Folder

FAILURES = (TransferError, binascii.Error, OSError)
MOST_BYTES = 1 << 40
WITHIN_SECONDS = 3600.0
PART = ".part"
HUB = "https://huggingface.co"


async def download(volume: Volume, directory: Path) -> None:
    """Puts a volume below a directory. Raises one of ``FAILURES``."""
    async with Fetcher(AddressGuard(allow_private=True)) as fetcher:
        arrival = _Arrival(fetcher, _made(directory))
        for each in separate(volume):
            await arrival.take(each)


class _Arrival:
    def __init__(self, fetcher: Fetcher, into: Folder) -> None:
        self._fetcher = fetcher
        self._into = into
        self._budget = Budget(MOST_BYTES)

    async def take(self, volume: Volume) -> None:
        match volume:
            case InlineVolume():
                await self._inline(volume)
            case SingleFileVolume():
                await self._fetch(volume.url, _plain(volume.relative_path))
            case ZipUrlVolume():
                await self._zip(volume)
            case HuggingfaceVolume():
                await self._snapshot(volume)
            case MultiVolume():
                raise AssertionError("volumes are taken one by one")
            case never:
                assert_never(never)

    async def _inline(self, volume: InlineVolume) -> None:
        data = base64.b64decode(volume.contents, validate=True)
        if is_archive(data):
            await unpack(io.BytesIO(data), self._folder(volume), budget=self._budget)
        else:
            self._into.write_file(_plain(volume.relative_path), data)

    async def _zip(self, volume: ZipUrlVolume) -> None:
        await self._fetch(volume.contents, PART)
        try:
            with self._into.open_file(PART) as archive:
                await unpack(archive, self._folder(volume), budget=self._budget)
        finally:
            self._into.remove_file(PART)

    async def _snapshot(self, volume: HuggingfaceVolume) -> None:
        # Most volumes are none of a hub, and its client takes its time to load.
        module = importlib.import_module("compute_horde_common.transfer.huggingface")
        hub = module.Hub(
            os.environ.get("HF_ENDPOINT") or HUB,
            self._fetcher,
            os.environ.get("HF_ACCESS_TOKEN"),
        )
        snapshot = await hub.snapshot(volume, within=WITHIN_SECONDS)
        for file in snapshot.files:
            path = _plain(f"{volume.relative_path or ''}/{file.path}")
            await self._fetch(file.url, path, hub.authorization(volume))

    async def _fetch(self, url: str, path: str, authorization: str | None = None) -> None:
        await self._fetcher.fetch(
            url,
            self._into,
            path,
            budget=self._budget,
            within=WITHIN_SECONDS,
            authorization=authorization,
        )

    def _folder(self, volume: InlineVolume | ZipUrlVolume) -> Folder:
        path = _plain(volume.relative_path)
        return self._into.subfolder(path) if path else self._into


def _made(directory: Path) -> Folder:
    directory.mkdir(parents=True, exist_ok=True)
    return Folder(directory)


def _plain(path: str | None) -> str:
    return "/".join(part for part in (path or "").split("/") if part not in {"", "."})

"""Volumes into a folder, with the code that executors use where it is installed."""

import importlib
from pathlib import Path
from typing import Any

from typing_extensions import Self

from compute_horde_common.jobs.volumes import Volume
from compute_horde_sdk._internal.errors import ComputeHordeError


class VolumeDownloadFailed(ComputeHordeError):
    """A volume cannot be had; the text says why."""


class VolumeDownloader:
    """Gets one volume, from servers of the local network, too."""

    def __init__(self, volume: Volume) -> None:
        self.volume = volume

    @classmethod
    def for_volume(cls, volume: Volume) -> Self:
        """The downloader of a volume."""
        return cls(volume)

    async def download(self, directory: Path) -> None:
        """Puts the volume below a directory, which is made where it is missing.

        Raises:
            VolumeDownloadFailed: it cannot be had.
        """
        transfers = _transfers()
        try:
            await transfers.download(self.volume, Path(directory))
        except transfers.FAILURES as error:
            raise VolumeDownloadFailed(str(error)) from error


def _transfers() -> Any:  # noqa: ANN401 - a module
    try:
        return importlib.import_module("compute_horde_core.volume.transfers")
    except ImportError as error:
        raise VolumeDownloadFailed(
            "to download volumes by yourself, use Python 3.11 or later and"
            f' pip install "compute-horde-sdk[local]" ({error})'
        ) from error

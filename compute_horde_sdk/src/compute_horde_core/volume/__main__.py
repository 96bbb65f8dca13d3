"""``python -m compute_horde_core.volume FILE... [-d FOLDER]``: gets the volumes that files tell."""

from pydantic import TypeAdapter

from compute_horde_core.command_line import main
from compute_horde_core.volume import Volume, VolumeDownloader

VOLUME: TypeAdapter[Volume] = TypeAdapter(Volume)

if __name__ == "__main__":
    main(
        "compute_horde_core.volume",
        VOLUME,
        "/volume",
        lambda volume, folder: VolumeDownloader(volume).download(folder),
    )

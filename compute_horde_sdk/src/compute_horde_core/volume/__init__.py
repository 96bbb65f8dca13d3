"""Input volumes: what requests say about them, and how they get into a folder."""

from compute_horde_common.jobs.volumes import HuggingfaceVolume as HuggingfaceVolume
from compute_horde_common.jobs.volumes import InlineVolume as InlineVolume
from compute_horde_common.jobs.volumes import MultiVolume as MultiVolume
from compute_horde_common.jobs.volumes import SingleFileVolume as SingleFileVolume
from compute_horde_common.jobs.volumes import Volume as Volume
from compute_horde_common.jobs.volumes import ZipUrlVolume as ZipUrlVolume
from compute_horde_common.python310 import StrEnum
from compute_horde_core.volume.downloader import VolumeDownloader as VolumeDownloader
from compute_horde_core.volume.downloader import VolumeDownloadFailed as VolumeDownloadFailed


class VolumeType(StrEnum):
    """The kinds of volumes."""

    inline = "inline"
    zip_url = "zip_url"
    single_file = "single_file"
    multi_volume = "multi_volume"
    huggingface_volume = "huggingface_volume"

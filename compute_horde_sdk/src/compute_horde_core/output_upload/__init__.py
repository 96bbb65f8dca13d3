"""Uploads: what requests say about them, and how files of a folder get to where they say."""

from compute_horde_common.jobs.uploads import MultiUpload as MultiUpload
from compute_horde_common.jobs.uploads import OutputUpload as OutputUpload
from compute_horde_common.jobs.uploads import SingleFilePostUpload as SingleFilePostUpload
from compute_horde_common.jobs.uploads import SingleFilePutUpload as SingleFilePutUpload
from compute_horde_common.jobs.uploads import SingleFileUpload as SingleFileUpload
from compute_horde_common.jobs.uploads import ZipAndHttpPostUpload as ZipAndHttpPostUpload
from compute_horde_common.jobs.uploads import ZipAndHttpPutUpload as ZipAndHttpPutUpload
from compute_horde_common.python310 import StrEnum
from compute_horde_core.output_upload.uploader import OutputUploader as OutputUploader
from compute_horde_core.output_upload.uploader import OutputUploadFailed as OutputUploadFailed
from compute_horde_sdk._internal.results import HttpOutputVolumeResponse as HttpOutputVolumeResponse


class OutputUploadType(StrEnum):
    """The kinds of uploads."""

    zip_and_http_post = "zip_and_http_post"
    zip_and_http_put = "zip_and_http_put"
    multi_upload = "multi_upload"
    single_file_post = "single_file_post"
    single_file_put = "single_file_put"

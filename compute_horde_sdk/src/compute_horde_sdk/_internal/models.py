"""Statuses, results and volumes at the path where programs written for the published SDK look
for them."""

from compute_horde_sdk._internal.results import (
    ComputeHordeHordeFailure,
    ComputeHordeJobFailure,
    ComputeHordeJobRejection,
    ComputeHordeJobResult,
    ComputeHordeJobStatus,
    ComputeHordeJobStatusEntry,
    JobStatusUpdateMetadata,
    StreamingServerDetails,
)
from compute_horde_sdk._internal.volumes import (
    INPUT_PREFIX,
    OUTPUT_PREFIX,
    HTTPInputVolume,
    HTTPOutputVolume,
    HuggingfaceInputVolume,
    InlineInputVolume,
    InputVolume,
    OutputVolume,
)

VOLUME_MOUNT_PATH_PREFIX = INPUT_PREFIX
OUTPUT_MOUNT_PATH_PREFIX = OUTPUT_PREFIX

__all__ = [
    "OUTPUT_MOUNT_PATH_PREFIX",
    "VOLUME_MOUNT_PATH_PREFIX",
    "ComputeHordeHordeFailure",
    "ComputeHordeJobFailure",
    "ComputeHordeJobRejection",
    "ComputeHordeJobResult",
    "ComputeHordeJobStatus",
    "ComputeHordeJobStatusEntry",
    "HTTPInputVolume",
    "HTTPOutputVolume",
    "HuggingfaceInputVolume",
    "InlineInputVolume",
    "InputVolume",
    "JobStatusUpdateMetadata",
    "OutputVolume",
    "StreamingServerDetails",
]

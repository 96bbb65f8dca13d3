"""The public names of the SDK; what is here does not change within ``v1``."""

from compute_horde_common.jobs.executor_classes import ExecutorClass
from compute_horde_sdk._internal.client import ComputeHordeClient
from compute_horde_sdk._internal.errors import (
    ComputeHordeAPIError,
    ComputeHordeConnectionError,
    ComputeHordeError,
    ComputeHordeJobTimeoutError,
    ComputeHordeNotFoundError,
    ComputeHordeResponseError,
    ComputeHordeValidationError,
)
from compute_horde_sdk._internal.job import ComputeHordeJob
from compute_horde_sdk._internal.results import (
    ComputeHordeHordeFailure,
    ComputeHordeJobFailure,
    ComputeHordeJobRejection,
    ComputeHordeJobResult,
    ComputeHordeJobStatus,
    ComputeHordeJobStatusEntry,
    HttpOutputVolumeResponse,
)
from compute_horde_sdk._internal.spec import ComputeHordeJobSpec
from compute_horde_sdk._internal.volumes import (
    HTTPInputVolume,
    HTTPOutputVolume,
    HuggingfaceInputVolume,
    InlineInputVolume,
    InputVolume,
    OutputVolume,
)

__all__ = [
    "ComputeHordeAPIError",
    "ComputeHordeClient",
    "ComputeHordeConnectionError",
    "ComputeHordeError",
    "ComputeHordeHordeFailure",
    "ComputeHordeJob",
    "ComputeHordeJobFailure",
    "ComputeHordeJobRejection",
    "ComputeHordeJobResult",
    "ComputeHordeJobSpec",
    "ComputeHordeJobStatus",
    "ComputeHordeJobStatusEntry",
    "ComputeHordeJobTimeoutError",
    "ComputeHordeNotFoundError",
    "ComputeHordeResponseError",
    "ComputeHordeValidationError",
    "ExecutorClass",
    "HTTPInputVolume",
    "HTTPOutputVolume",
    "HttpOutputVolumeResponse",
    "HuggingfaceInputVolume",
    "InlineInputVolume",
    "InputVolume",
    "OutputVolume",
]

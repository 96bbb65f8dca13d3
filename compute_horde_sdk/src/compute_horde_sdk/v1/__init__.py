"""The public names of the SDK, version 1 of its interface.

Start at `ComputeHordeClient`; it takes a `ComputeHordeJobSpec` and gives a `ComputeHordeJob`.
Every error is a `ComputeHordeError`.
"""

import importlib
import typing

from compute_horde_common.jobs.executor_classes import ExecutorClass as ExecutorClass
from compute_horde_sdk._internal.client import ComputeHordeClient as ComputeHordeClient
from compute_horde_sdk._internal.comparing import Comparator as Comparator
from compute_horde_sdk._internal.comparing import Difference as Difference
from compute_horde_sdk._internal.comparing import exact as exact
from compute_horde_sdk._internal.comparing import json_equal as json_equal
from compute_horde_sdk._internal.cross_validation import CrossValidation as CrossValidation
from compute_horde_sdk._internal.errors import ComputeHordeAPIError as ComputeHordeAPIError
from compute_horde_sdk._internal.errors import ComputeHordeCancelError as ComputeHordeCancelError
from compute_horde_sdk._internal.errors import ComputeHordeError as ComputeHordeError
from compute_horde_sdk._internal.errors import (
    ComputeHordeJobTimeoutError as ComputeHordeJobTimeoutError,
)
from compute_horde_sdk._internal.errors import ComputeHordeNoPushError as ComputeHordeNoPushError
from compute_horde_sdk._internal.errors import (
    ComputeHordeNotFoundError as ComputeHordeNotFoundError,
)
from compute_horde_sdk._internal.errors import (
    ComputeHordeValidationError as ComputeHordeValidationError,
)
from compute_horde_sdk._internal.events import ComputeHordeEndEvent as ComputeHordeEndEvent
from compute_horde_sdk._internal.events import ComputeHordeJobEvent as ComputeHordeJobEvent
from compute_horde_sdk._internal.events import ComputeHordeLogEvent as ComputeHordeLogEvent
from compute_horde_sdk._internal.events import (
    ComputeHordeProgressEvent as ComputeHordeProgressEvent,
)
from compute_horde_sdk._internal.events import ComputeHordeStatusEvent as ComputeHordeStatusEvent
from compute_horde_sdk._internal.fields import ComputeHordeJobFields as ComputeHordeJobFields
from compute_horde_sdk._internal.job import ComputeHordeJob as ComputeHordeJob
from compute_horde_sdk._internal.job import ComputeHordeJobFailedError as ComputeHordeJobFailedError
from compute_horde_sdk._internal.logs import ComputeHordeJobLogs as ComputeHordeJobLogs
from compute_horde_sdk._internal.results import ComputeHordeHordeFailure as ComputeHordeHordeFailure
from compute_horde_sdk._internal.results import ComputeHordeJobFailure as ComputeHordeJobFailure
from compute_horde_sdk._internal.results import ComputeHordeJobProgress as ComputeHordeJobProgress
from compute_horde_sdk._internal.results import ComputeHordeJobRejection as ComputeHordeJobRejection
from compute_horde_sdk._internal.results import ComputeHordeJobResult as ComputeHordeJobResult
from compute_horde_sdk._internal.results import ComputeHordeJobStatus as ComputeHordeJobStatus
from compute_horde_sdk._internal.results import (
    ComputeHordeJobStatusEntry as ComputeHordeJobStatusEntry,
)
from compute_horde_sdk._internal.results import ComputeHordeLogPage as ComputeHordeLogPage
from compute_horde_sdk._internal.results import ComputeHordeLogPiece as ComputeHordeLogPiece
from compute_horde_sdk._internal.sampling import AdaptiveSampling as AdaptiveSampling
from compute_horde_sdk._internal.sampling import Verdict as Verdict
from compute_horde_sdk._internal.sampling import jobs_needed as jobs_needed
from compute_horde_sdk._internal.spec import ComputeHordeJobSpec as ComputeHordeJobSpec
from compute_horde_sdk._internal.sync.client import ComputeHordeSyncClient as ComputeHordeSyncClient
from compute_horde_sdk._internal.sync.job import ComputeHordeSyncJob as ComputeHordeSyncJob
from compute_horde_sdk._internal.volumes import HTTPInputVolume as HTTPInputVolume
from compute_horde_sdk._internal.volumes import HTTPOutputVolume as HTTPOutputVolume
from compute_horde_sdk._internal.volumes import HuggingfaceInputVolume as HuggingfaceInputVolume
from compute_horde_sdk._internal.volumes import InlineInputVolume as InlineInputVolume
from compute_horde_sdk._internal.volumes import InputVolume as InputVolume
from compute_horde_sdk._internal.volumes import OutputVolume as OutputVolume

if typing.TYPE_CHECKING:
    from compute_horde_sdk._internal import certificates

    ComputeHordeStreamingKey = certificates.StreamingKey


def __getattr__(name: str) -> object:
    # The library behind this one takes its time, and few programs need it.
    if name == "ComputeHordeStreamingKey":
        return importlib.import_module("compute_horde_sdk._internal.certificates").StreamingKey
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""The public names of the SDK, version 1 of its interface.

Start at `ComputeHordeClient`; it takes a `ComputeHordeJobSpec` and gives a `ComputeHordeJob`.
Every error is a `ComputeHordeError`.
"""

from compute_horde_common.jobs.executor_classes import ExecutorClass as ExecutorClass
from compute_horde_sdk._internal.client import ComputeHordeClient as ComputeHordeClient
from compute_horde_sdk._internal.errors import ComputeHordeAPIError as ComputeHordeAPIError
from compute_horde_sdk._internal.errors import ComputeHordeCancelError as ComputeHordeCancelError
from compute_horde_sdk._internal.errors import ComputeHordeError as ComputeHordeError
from compute_horde_sdk._internal.errors import (
    ComputeHordeJobTimeoutError as ComputeHordeJobTimeoutError,
)
from compute_horde_sdk._internal.errors import (
    ComputeHordeNotFoundError as ComputeHordeNotFoundError,
)
from compute_horde_sdk._internal.errors import (
    ComputeHordeValidationError as ComputeHordeValidationError,
)
from compute_horde_sdk._internal.job import ComputeHordeJob as ComputeHordeJob
from compute_horde_sdk._internal.results import ComputeHordeHordeFailure as ComputeHordeHordeFailure
from compute_horde_sdk._internal.results import ComputeHordeJobFailure as ComputeHordeJobFailure
from compute_horde_sdk._internal.results import ComputeHordeJobRejection as ComputeHordeJobRejection
from compute_horde_sdk._internal.results import ComputeHordeJobResult as ComputeHordeJobResult
from compute_horde_sdk._internal.results import ComputeHordeJobStatus as ComputeHordeJobStatus
from compute_horde_sdk._internal.results import (
    ComputeHordeJobStatusEntry as ComputeHordeJobStatusEntry,
)
from compute_horde_sdk._internal.results import ComputeHordeLogPage as ComputeHordeLogPage
from compute_horde_sdk._internal.results import ComputeHordeLogPiece as ComputeHordeLogPiece
from compute_horde_sdk._internal.spec import ComputeHordeJobSpec as ComputeHordeJobSpec
from compute_horde_sdk._internal.volumes import HTTPInputVolume as HTTPInputVolume
from compute_horde_sdk._internal.volumes import HTTPOutputVolume as HTTPOutputVolume
from compute_horde_sdk._internal.volumes import HuggingfaceInputVolume as HuggingfaceInputVolume
from compute_horde_sdk._internal.volumes import InlineInputVolume as InlineInputVolume
from compute_horde_sdk._internal.volumes import InputVolume as InputVolume
from compute_horde_sdk._internal.volumes import OutputVolume as OutputVolume

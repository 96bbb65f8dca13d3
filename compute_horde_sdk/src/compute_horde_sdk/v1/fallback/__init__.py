"""Jobs on rented cloud machines, for when the network is not there.

Start at `FallbackClient`; it takes a `FallbackJobSpec`, and gives a `FallbackJob`.
``pip install 'compute-horde-sdk[fallback]'`` brings SkyPilot, which rents the machines.
"""

from compute_horde_sdk._internal.fallback.client import FallbackClient as FallbackClient
from compute_horde_sdk._internal.fallback.exceptions import FallbackError as FallbackError
from compute_horde_sdk._internal.fallback.exceptions import (
    FallbackJobTimeoutError as FallbackJobTimeoutError,
)
from compute_horde_sdk._internal.fallback.exceptions import (
    FallbackMissingError as FallbackMissingError,
)
from compute_horde_sdk._internal.fallback.exceptions import (
    FallbackNotFoundError as FallbackNotFoundError,
)
from compute_horde_sdk._internal.fallback.job import FallbackJob as FallbackJob
from compute_horde_sdk._internal.fallback.job import FallbackJobResult as FallbackJobResult
from compute_horde_sdk._internal.fallback.job import FallbackJobStatus as FallbackJobStatus
from compute_horde_sdk._internal.fallback.spec import FallbackJobSpec as FallbackJobSpec

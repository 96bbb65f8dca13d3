"""What the fallback raises: a branch of the SDK's tree of errors.

ComputeHordeError
└── FallbackError
├── FallbackJobTimeoutError   also a ComputeHordeJobTimeoutError
├── FallbackMissingError      also a ModuleNotFoundError
└── FallbackNotFoundError
"""

from compute_horde_sdk._internal.errors import ComputeHordeError, ComputeHordeJobTimeoutError


class FallbackError(ComputeHordeError):
    """Anything that goes wrong with a fallback."""


class FallbackNotFoundError(FallbackError):
    """There is no such job on this machine's list."""


class FallbackJobTimeoutError(FallbackError, ComputeHordeJobTimeoutError):
    """A job did not get there in time. It goes on running."""


class FallbackMissingError(FallbackError, ModuleNotFoundError):
    """SkyPilot is not installed."""

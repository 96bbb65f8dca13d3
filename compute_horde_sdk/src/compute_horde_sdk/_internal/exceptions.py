"""Errors at the path where programs written for the published SDK look for them."""

from compute_horde_sdk._internal.errors import (
    ComputeHordeError,
    ComputeHordeJobTimeoutError,
    ComputeHordeNotFoundError,
)

__all__ = [
    "ComputeHordeError",
    "ComputeHordeJobTimeoutError",
    "ComputeHordeNotFoundError",
]

"""The types of the fixtures that make specs and requests."""

from collections.abc import Callable

from compute_horde_common.jobs.spec import JobSpec
from compute_horde_common.protocol.facilitator_validator import JobRequest

MakeSpec = Callable[..., JobSpec]
"""A spec with the given fields."""
MakeRequest = Callable[..., JobRequest]
"""``make(signer, uuid=None, timestamp_ns=1, **fields)``: a signed request."""

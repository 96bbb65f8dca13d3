"""What a request says about streaming."""

from compute_horde_common.jobs.spec import StreamingDetails

__all__ = [
    "StreamingDetails",
]

"""What the validator stores: the subnet as it knows it, and its jobs."""

from validator.models.jobs import Attempt, Job, StatusChange
from validator.models.subnet import AllowedSigner, MinerManifest, MinerOnChain, Snapshot

__all__ = [
    "AllowedSigner",
    "Attempt",
    "Job",
    "MinerManifest",
    "MinerOnChain",
    "Snapshot",
    "StatusChange",
]

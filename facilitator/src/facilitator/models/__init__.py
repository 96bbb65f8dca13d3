"""What the facilitator stores: who may use it, its validators, and the jobs."""

from facilitator.models.accounts import AllowedHotkey, SpentNonce
from facilitator.models.fleet import Source, Validator, ValidatorConnection
from facilitator.models.jobs import CheatReport, Job, StatusChange, StoredPiece

__all__ = [
    "AllowedHotkey",
    "CheatReport",
    "Job",
    "Source",
    "SpentNonce",
    "StatusChange",
    "StoredPiece",
    "Validator",
    "ValidatorConnection",
]

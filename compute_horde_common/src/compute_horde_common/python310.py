"""What Python 3.10 lacks, for the modules that the SDK imports: its users may still be on it."""

import sys
from datetime import timezone

if sys.version_info >= (3, 11):
    from enum import StrEnum
else:
    from backports.strenum import StrEnum

UTC = timezone.utc

__all__ = ["UTC", "StrEnum"]

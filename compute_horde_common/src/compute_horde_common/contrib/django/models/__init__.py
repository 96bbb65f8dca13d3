"""The tables that services share."""

from compute_horde_common.contrib.django.models.logins import FailedLogin
from compute_horde_common.contrib.django.models.outbox import Outbox
from compute_horde_common.contrib.django.models.receipts import HOTKEY_LENGTH, StoredReceipt
from compute_horde_common.contrib.django.models.serving import Serving

__all__ = ["HOTKEY_LENGTH", "FailedLogin", "Outbox", "Serving", "StoredReceipt"]

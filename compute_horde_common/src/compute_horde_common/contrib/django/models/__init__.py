"""The tables that services share."""

from compute_horde_common.contrib.django.models.outbox import Outbox
from compute_horde_common.contrib.django.models.receipts import HOTKEY_LENGTH, StoredReceipt

__all__ = ["HOTKEY_LENGTH", "Outbox", "StoredReceipt"]

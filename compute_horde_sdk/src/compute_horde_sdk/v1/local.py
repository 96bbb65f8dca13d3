"""Jobs on this machine, without a network: `LocalClient`, and the same without an event loop."""

from compute_horde_sdk._internal.local.client import LocalClient, LocalSyncClient

__all__ = ["LocalClient", "LocalSyncClient"]

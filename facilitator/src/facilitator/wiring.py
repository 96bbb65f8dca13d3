"""Chooses the implementations: signatures by the wallet library, the chain by bittensor, the
system's clock."""

from compute_horde_common.chain.interface import Chain
from compute_horde_common.chain.keys import is_ss58, ss58_from_public_key, verify
from compute_horde_common.clock import Clock, SystemClock
from facilitator.config import config

__all__ = ["chain", "clock", "is_ss58", "ss58_from_public_key", "verify"]

_CLOCK = SystemClock()


def chain(network: str) -> Chain:
    """A connection to the chain, which only reads. Close it after use."""
    # The library takes seconds to import, and only one task needs it.
    from compute_horde_common.chain.bittensor import BittensorChain  # noqa: PLC0415

    return BittensorChain(network, config.bittensor_netuid)


def clock() -> Clock:
    """The machine's clock."""
    return _CLOCK

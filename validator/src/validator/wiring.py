"""Chooses the implementations: keys from wallet files, the chain by bittensor, the system's
clock."""

from functools import cache

from compute_horde_common.chain.interface import Chain
from compute_horde_common.chain.keys import Hotkey, is_ss58, public_key_of, verify
from compute_horde_common.clock import Clock, SystemClock
from validator.config import config
from validator.domain.assignments import Terms, TrustedMiner

__all__ = ["chain", "clock", "hotkey", "is_ss58", "public_key_of", "terms", "verify"]


@cache
def hotkey() -> Hotkey:
    """The validator's own key.

    Raises:
        WalletUnreadable: its file cannot be read.
    """
    return Hotkey.from_wallet(*config.wallet)


@cache
def chain() -> Chain:
    """The chain, which is only read. Close it at the end of each event loop; it opens again."""
    # The library takes seconds to import, and most commands do not need it.
    from compute_horde_common.chain.bittensor import BittensorChain  # noqa: PLC0415

    return BittensorChain(config.bittensor_network, config.bittensor_netuid)


def clock() -> Clock:
    """The machine's clock."""
    return SystemClock()


def terms() -> Terms:
    """The operator's terms for jobs."""
    trusted = None
    if config.trusted_miner_address and config.trusted_miner_port:
        trusted = TrustedMiner(config.trusted_miner_address, config.trusted_miner_port)
    return Terms(
        reservation=config.reservation_seconds,
        startup=config.executor_startup_seconds,
        routing=config.routing_seconds,
        allow_private=config.allow_private_miners,
        trusted_miner=trusted,
    )

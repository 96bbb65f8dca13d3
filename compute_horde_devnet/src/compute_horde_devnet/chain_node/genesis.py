"""What a devnet chain is born with."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from compute_horde_devnet.chain_node.codec import is_address
from compute_horde_devnet.pallets import RAO_PER_UNIT, Account, Ledger, Rules, Subnet

DEFAULT_NETUID = 12


@dataclass(frozen=True, slots=True)
class Genesis:
    """Subnets, balances, stakes and neurons before the first block. Keys are ss58 addresses."""

    netuids: tuple[int, ...] = (DEFAULT_NETUID,)
    funds: Mapping[str, float] = field(default_factory=dict)
    """Balance of accounts, in whole units."""
    stakes: Mapping[str, float] = field(default_factory=dict)
    """Alpha of hotkeys on every subnet, in whole units: there is no staking here."""
    registered: tuple[tuple[str, str], ...] = ()
    """Neurons of every subnet, (hotkey, coldkey), in the order of their uids."""
    rules: Rules = field(default_factory=Rules)

    def __post_init__(self) -> None:
        """Raises ValueError for what no chain could begin with."""
        hotkeys = [hotkey for hotkey, _ in self.registered]
        pairs = [key for pair in self.registered for key in pair]
        for address in (*self.funds, *self.stakes, *pairs):
            if not is_address(address):
                raise ValueError(f"{address!r} is not an ss58 address")
        if len(set(hotkeys)) < len(hotkeys) or len(hotkeys) > self.rules.max_neurons:
            raise ValueError("a hotkey is registered twice, or there are too many of them")
        if not all(0 < netuid < 1 << 16 for netuid in self.netuids):
            raise ValueError("a netuid is a number from 1 to 65535")
        if min((*self.funds.values(), *self.stakes.values(), 0.0)) < 0:
            raise ValueError("balances and stakes cannot be negative")

    def ledger(self) -> Ledger:
        """The ledger at block 0."""
        stakes = {hotkey: int(alpha * RAO_PER_UNIT) for hotkey, alpha in self.stakes.items()}
        accounts = {
            address: Account(free=int(tao * RAO_PER_UNIT)) for address, tao in self.funds.items()
        }
        subnets = {netuid: Subnet(self.rules, stakes=stakes) for netuid in self.netuids}
        ledger = Ledger(accounts=accounts, subnets=subnets)
        for netuid in self.netuids:
            for hotkey, coldkey in self.registered:
                ledger = ledger.seated(netuid, hotkey, coldkey, block=0)
        return ledger

    def fingerprint(self) -> bytes:
        """32 bytes that differ between chains born with different things."""
        return hashlib.blake2b(repr(self).encode(), digest_size=32).digest()

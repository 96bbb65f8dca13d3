"""Raw storage, as the chain would show it, of what the ledger models. The rest is refused by name.

Each item is a function from a block to all of its entries: the state is small, so a read may build
them anew.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import cached_property
from typing import Any

from compute_horde_devnet.chain_node.blockchain import Block
from compute_horde_devnet.chain_node.codec import Codec, Item, Malformed, Params
from compute_horde_devnet.pallets import SUBTENSOR, Seat, Subnet

PREFIX_BYTES = 32
Entries = Mapping[Params, Any]


class NotModelled(Exception):
    """A read of what the devnet does not have. The text names it."""


class Storage:
    """Reads of blocks by raw key."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec

    def value(self, block: Block, key: bytes) -> bytes | None:
        """The raw value of a key; None if the chain has none.

        Raises:
            NotModelled: the key belongs to an item that is not modelled.
            Malformed: it is no full key of its item.
        """
        item = self._item(key)
        if item == ("System", "Events"):
            return block.events
        value = MODELLED[item](block).get(self._codec.storage_params(item, key))
        return None if value is None else self._codec.encode_storage(item, value)

    def keys(self, block: Block, prefix: bytes) -> list[bytes]:
        """All keys that begin with a prefix, in the chain's order."""
        item = self._item(prefix)
        if item == ("System", "Events"):
            return [self._codec.storage_prefix(item)]
        keys = (self._codec.storage_key(item, params) for params in MODELLED[item](block))
        return sorted(key for key in keys if key.startswith(prefix))

    def _item(self, key: bytes) -> Item:
        if len(key) < PREFIX_BYTES:
            raise Malformed("a storage key begins with 32 bytes that name its item")
        prefix = key[:PREFIX_BYTES]
        item = self._prefixes.get(prefix)
        if item is None:
            raise NotModelled(f"the devnet node does not model the storage {self._name(prefix)}")
        return item

    @cached_property
    def _prefixes(self) -> dict[bytes, Item]:
        items = [*MODELLED, ("System", "Events")]
        return {self._codec.storage_prefix(item): item for item in items}

    def _name(self, prefix: bytes) -> str:
        for item in self._codec.storage_names():
            if self._codec.storage_prefix(item) == prefix:
                return ".".join(item)
        return f"under 0x{prefix.hex()}"


def _rule(name: str) -> Callable[[Block], Entries]:
    return lambda block: {
        (netuid,): getattr(subnet.rules, name) for netuid, subnet in block.ledger.subnets.items()
    }


def _per_subnet(show: Callable[[Subnet], Any]) -> Callable[[Block], Entries]:
    return lambda block: {
        (netuid,): show(subnet) for netuid, subnet in block.ledger.subnets.items()
    }


def _seats(block: Block) -> Iterator[tuple[int, int, Seat]]:
    for netuid, subnet in block.ledger.subnets.items():
        for uid, seat in enumerate(subnet.seats):
            yield netuid, uid, seat


def _accounts(block: Block) -> Entries:
    return {
        (address,): {
            "nonce": account.nonce,
            "consumers": 0,
            "providers": 1,
            "sufficients": 0,
            "data": {"free": account.free, "reserved": 0, "frozen": 0, "flags": 0},
        }
        for address, account in block.ledger.accounts.items()
    }


def _axons(block: Block) -> Entries:
    return {
        (netuid, hotkey): asdict(axon)
        for netuid, subnet in block.ledger.subnets.items()
        for hotkey, axon in subnet.axons.items()
    }


def _stakes(block: Block) -> Entries:
    return {
        (hotkey, netuid): alpha
        for netuid, subnet in block.ledger.subnets.items()
        for hotkey, alpha in subnet.stakes.items()
    }


def _permits(subnet: Subnet) -> list[bool]:
    return [subnet.permitted(seat.hotkey) for seat in subnet.seats]


def _names(pallet: str, items: Mapping[str, Callable[[Block], Entries]]) -> dict[Item, Any]:
    return {(pallet, name): show for name, show in items.items()}


MODELLED: Mapping[Item, Callable[[Block], Entries]] = {
    ("System", "Account"): _accounts,
    ("System", "Number"): lambda block: {(): block.number},
    ("Timestamp", "Now"): lambda block: {(): block.milliseconds},
    **_names(
        SUBTENSOR,
        {
            "Tempo": _rule("tempo"),
            "WeightsSetRateLimit": _rule("weights_rate_limit"),
            "ServingRateLimit": _rule("serving_rate_limit"),
            "CommitRevealWeightsEnabled": _rule("commit_reveal_enabled"),
            "RevealPeriodEpochs": _rule("reveal_period_epochs"),
            "ImmunityPeriod": _rule("immunity_period"),
            "MaxAllowedUids": _rule("max_neurons"),
            "MinAllowedWeights": _rule("min_allowed_weights"),
            "Burn": _rule("burn"),
            "NetworksAdded": _per_subnet(lambda _: True),
            "NetworkRegistrationAllowed": _per_subnet(lambda _: True),
            "SubnetworkN": _per_subnet(lambda subnet: len(subnet.seats)),
            "ValidatorPermit": _per_subnet(_permits),
            "LastUpdate": _per_subnet(lambda subnet: [0] * len(subnet.seats)),
            "TokenSymbol": lambda _: {},
            "Axons": _axons,
            "TotalHotkeyAlpha": _stakes,
            "Owner": lambda block: {
                (hotkey,): coldkey for hotkey, coldkey in block.ledger.owners.items()
            },
            "Uids": lambda block: {(net, seat.hotkey): uid for net, uid, seat in _seats(block)},
            "Keys": lambda block: {(net, uid): seat.hotkey for net, uid, seat in _seats(block)},
            "IsNetworkMember": lambda block: {
                (seat.hotkey, net): True for net, _, seat in _seats(block)
            },
            "BlockAtRegistration": lambda block: {
                (net, uid): seat.registered_at for net, uid, seat in _seats(block)
            },
        },
    ),
}

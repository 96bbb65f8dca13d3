"""PURE: the rules of the chain's pallets that the devnet models, over immutable ledgers.

Checks come in the chain's own order, because the first that fails is the error a caller sees. What
is not in `CALLS` is not modelled, and the node refuses it. Fees are zero: the modelled calls pay
none on the live chain either.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

RAO_PER_UNIT = 10**9
ROOT_NETUID = 0
IPV4 = 4
IPV6 = 6
LOOPBACK_V4 = 0x7F000001
BROADCAST_V4 = 0xFFFFFFFF
LOOPBACK_V6 = 1
BROADCAST_V6 = (1 << 128) - 1
SUBTENSOR = "SubtensorModule"


class DispatchFailed(Exception):
    """A call that the chain includes in a block and then undoes, with a pallet's named error."""

    def __init__(self, error: str, pallet: str = SUBTENSOR) -> None:
        super().__init__(f"{pallet}.{error}")
        self.pallet = pallet
        self.error = error


@dataclass(frozen=True, slots=True)
class Axon:
    """What a neuron announced: the fields are the chain's."""

    block: int
    version: int
    ip: int
    port: int
    ip_type: int
    protocol: int
    placeholder1: int = 0
    placeholder2: int = 0


@dataclass(frozen=True, slots=True)
class Seat:
    """A registered neuron."""

    hotkey: str
    coldkey: str
    registered_at: int


@dataclass(frozen=True, slots=True)
class Rules:
    """A subnet's hyperparameters; spans are in blocks, the burn in 1e-9 units."""

    tempo: int = 360
    weights_rate_limit: int = 100
    serving_rate_limit: int = 0
    commit_reveal_enabled: bool = False
    reveal_period_epochs: int = 1
    immunity_period: int = 4096
    max_neurons: int = 256
    min_allowed_weights: int = 1
    burn: int = RAO_PER_UNIT


@dataclass(frozen=True, slots=True)
class Subnet:
    """One subnet. A seat's uid is its place in ``seats``; seats are never vacated here."""

    rules: Rules = Rules()
    seats: tuple[Seat, ...] = ()
    axons: Mapping[str, Axon] = field(default_factory=dict)
    stakes: Mapping[str, int] = field(default_factory=dict)
    """Alpha by hotkey, in 1e-9 units."""

    def uid(self, hotkey: str) -> int | None:
        """The place of a hotkey, None if it has none."""
        for uid, seat in enumerate(self.seats):
            if seat.hotkey == hotkey:
                return uid
        return None

    def permitted(self, hotkey: str) -> bool:
        """Validator permits are not computed: whoever was born with stake holds one."""
        return self.stakes.get(hotkey, 0) > 0


@dataclass(frozen=True, slots=True)
class Account:
    """A balance in 1e-9 units, and how many extrinsics it has signed."""

    nonce: int = 0
    free: int = 0


@dataclass(frozen=True, slots=True)
class Ledger:
    """Everything the modelled pallets keep. Never changed, only replaced."""

    accounts: Mapping[str, Account] = field(default_factory=dict)
    owners: Mapping[str, str] = field(default_factory=dict)
    """The coldkey of each hotkey that was ever registered."""
    subnets: Mapping[int, Subnet] = field(default_factory=dict)

    def account(self, address: str) -> Account:
        """An account; one that nobody funded is empty."""
        return self.accounts.get(address, Account())

    def with_account(self, address: str, account: Account) -> "Ledger":
        """The same ledger but for one account."""
        return replace(self, accounts={**self.accounts, address: account})

    def with_subnet(self, netuid: int, subnet: Subnet) -> "Ledger":
        """The same ledger but for one subnet."""
        return replace(self, subnets={**self.subnets, netuid: subnet})

    def seated(self, netuid: int, hotkey: str, coldkey: str, *, block: int) -> "Ledger":
        """The same ledger with one more neuron."""
        subnet = self.subnets[netuid]
        seats = (*subnet.seats, Seat(hotkey, coldkey, block))
        return replace(
            self.with_subnet(netuid, replace(subnet, seats=seats)),
            owners={**self.owners, hotkey: coldkey},
        )


@dataclass(frozen=True, slots=True)
class Event:
    """Something a call tells the world, in the chain's own names and order of fields."""

    pallet: str
    name: str
    fields: tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Applied:
    """What a call has made of the ledger."""

    ledger: Ledger
    events: tuple[Event, ...]


class Call(Protocol):
    """A modelled call; its further keyword arguments are the chain's."""

    def __call__(
        self, ledger: Ledger, signer: str, block: int, /, **arguments: int | str
    ) -> Applied:
        """The outcome, or `DispatchFailed`."""
        ...


def signed_once_more(ledger: Ledger, signer: str) -> Ledger:
    """The ledger after an extrinsic of ``signer`` was included, whatever becomes of its call."""
    account = ledger.account(signer)
    return ledger.with_account(signer, replace(account, nonce=account.nonce + 1))


def burned_register(ledger: Ledger, signer: str, block: int, /, **arguments: int | str) -> Applied:
    """A coldkey buys a seat for a hotkey; the price is gone."""
    netuid, hotkey = int(arguments["netuid"]), str(arguments["hotkey"])
    if netuid == ROOT_NETUID:
        raise DispatchFailed("RegistrationNotPermittedOnRootSubnet")
    subnet = ledger.subnets.get(netuid)
    if subnet is None:
        raise DispatchFailed("SubnetNotExists")
    if subnet.uid(hotkey) is not None:
        raise DispatchFailed("HotKeyAlreadyRegisteredInSubNet")
    buyer = ledger.account(signer)
    if buyer.free < subnet.rules.burn:
        raise DispatchFailed("NotEnoughBalanceToStake")
    if ledger.owners.get(hotkey, signer) != signer:
        raise DispatchFailed("NonAssociatedColdKey")
    if len(subnet.seats) >= subnet.rules.max_neurons:
        # The live chain evicts the lowest; which one that is depends on what is not modelled.
        raise DispatchFailed("NoNeuronIdAvailable")
    paid = ledger.with_account(signer, replace(buyer, free=buyer.free - subnet.rules.burn))
    event = Event(SUBTENSOR, "NeuronRegistered", (netuid, len(subnet.seats), hotkey))
    return Applied(paid.seated(netuid, hotkey, signer, block=block), (event,))


def serve_axon(ledger: Ledger, signer: str, block: int, /, **arguments: int | str) -> Applied:
    """A hotkey announces where it serves."""
    values = {name: int(value) for name, value in arguments.items()}
    netuid = values.pop("netuid")
    subnet = ledger.subnets.get(netuid)
    if subnet is None:
        raise DispatchFailed("MechanismDoesNotExist")
    if not any(other.uid(signer) is not None for other in ledger.subnets.values()):
        raise DispatchFailed("HotKeyNotRegisteredInNetwork")
    axon = Axon(block=block, **values)
    if axon.ip_type not in (IPV4, IPV6):
        raise DispatchFailed("InvalidIpType")
    if not _is_servable(axon):
        raise DispatchFailed("InvalidIpAddress")
    if _is_too_soon(subnet, signer, block):
        raise DispatchFailed("ServingRateLimitExceeded")
    if axon.port == 0:
        raise DispatchFailed("InvalidPort")
    served = replace(subnet, axons={**subnet.axons, signer: axon})
    event = Event(SUBTENSOR, "AxonServed", (netuid, signer))
    return Applied(ledger.with_subnet(netuid, served), (event,))


def _is_servable(axon: Axon) -> bool:
    if axon.ip_type == IPV4:
        return 0 < axon.ip < BROADCAST_V4 and axon.ip != LOOPBACK_V4
    return LOOPBACK_V6 < axon.ip < BROADCAST_V6


def _is_too_soon(subnet: Subnet, hotkey: str, block: int) -> bool:
    previous = subnet.axons.get(hotkey)
    return previous is not None and block - previous.block < subnet.rules.serving_rate_limit


CALLS: Mapping[tuple[str, str], Call] = {
    (SUBTENSOR, "burned_register"): burned_register,
    (SUBTENSOR, "serve_axon"): serve_axon,
}

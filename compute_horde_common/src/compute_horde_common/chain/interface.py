"""What the project wants of the chain: values, errors, the `Chain` protocol, and who validates.

Errors, all of them `ChainError`: `ChainUnreachable` (try later), `RuntimeMismatch` (the chain's
runtime lacks what this release reads; update), `ChainRefused` (the chain said no, and why) with
`NotRegistered` under it, and `WalletUnreadable` (a key file that cannot be used).
"""

from collections.abc import AsyncGenerator, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

DEFAULT_MINIMUM_STAKE = 1000.0
DEFAULT_VALIDATOR_LIMIT = 24


class ChainError(Exception):
    """Something about the chain went wrong."""


class ChainUnreachable(ChainError):
    """No answer within the limit, or no connection. The next call connects anew.

    After a submission the outcome is unknown: read the chain's state before repeating it.
    """


class RuntimeMismatch(ChainError):
    """The chain's runtime does not have, or lays out differently, what this release uses."""


class ChainRefused(ChainError):
    """The chain understood the request and said no.

    Attributes:
        code: the kind of refusal, one of bittensor's error codes (``rate_limited``,
            ``already_exists``, ``invalid_argument``, ...); ``unknown`` for new ones.
        message: the chain's own words.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class NotRegistered(ChainRefused):
    """The hotkey is no neuron of the subnet."""

    def __init__(self, message: str) -> None:
        super().__init__("not_registered", message)


class WalletUnreadable(ChainError):
    """A key file is missing, malformed or encrypted."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a neuron can be reached. ``host`` is a literal IP address: the chain keeps no names.

    Anybody may publish any address, private ones included: what comes from the chain is hostile.
    """

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Neuron:
    """One place in the subnet."""

    uid: int
    hotkey: str
    coldkey: str
    stake: float
    """Total stake weight, in whole units (not in the chain's 1e-9)."""
    axon: Address | None
    validator_permit: bool
    last_update: int
    """The block of its last weights; 0 if there were none."""


@dataclass(frozen=True, slots=True)
class Head:
    """The newest block."""

    number: int
    hash: str


@dataclass(frozen=True, slots=True)
class Metagraph:
    """All neurons of a subnet at one block, in the order of their uids."""

    netuid: int
    block: int
    block_hash: str
    neurons: tuple[Neuron, ...]

    def by_hotkey(self) -> Mapping[str, Neuron]:
        """The neurons by their hotkeys."""
        return {neuron.hotkey: neuron for neuron in self.neurons}


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """The subnet's own settings; spans are in blocks."""

    tempo: int
    weights_rate_limit: int
    serving_rate_limit: int
    commit_reveal_enabled: bool
    reveal_period_epochs: int
    immunity_period: int
    max_neurons: int
    min_allowed_weights: int


class Chain(Protocol):
    """One subnet, seen by the holder of one hotkey (or by nobody: then it can only be read).

    Every call has a time limit and raises a `ChainError` when it cannot answer.
    """

    async def head(self) -> Head:
        """The newest block."""
        ...

    async def block_time(self) -> datetime:
        """When the newest block was made, by its author's clock; UTC."""
        ...

    async def metagraph(self, block: int | None = None) -> Metagraph:
        """The subnet's neurons at a block, or at the newest one."""
        ...

    async def hyperparameters(self, block: int | None = None) -> Hyperparameters:
        """The subnet's settings at a block, or at the newest one."""
        ...

    async def registration(self, hotkey: str) -> int | None:
        """The hotkey's uid; None if it is not registered in the subnet."""
        ...

    async def publish_axon(self, address: Address) -> bool:
        """Announces where our hotkey serves; False when exactly this was announced already.

        Raises:
            NotRegistered: our hotkey is not in the subnet.
            ChainRefused: the address is none the chain takes, or the last announcement is too
                recent (``rate_limited``).
        """
        ...

    def heads(self) -> AsyncGenerator[Head, None]:
        """New blocks as they come, beginning with the newest. Never ends by itself: it reconnects
        for as long as it takes. Blocks made while disconnected are skipped, and the newest one may
        come twice.

        Whoever leaves early closes it: ``async with aclosing(chain.heads()) as heads``.
        """
        ...

    async def aclose(self) -> None:
        """Lets go of the connection. Afterwards the next call opens a new one."""
        ...


def chain_validators(
    metagraph: Metagraph,
    *,
    minimum_stake: float = DEFAULT_MINIMUM_STAKE,
    limit: int = DEFAULT_VALIDATOR_LIMIT,
    always: Collection[str] = (),
) -> list[Neuron]:
    """Who counts as a validator: the ``limit`` neurons with the most stake, none below the minimum.

    Registered hotkeys of ``always`` come first, whatever their stake, and count towards the limit.
    """
    favoured = [neuron for neuron in metagraph.neurons if neuron.hotkey in always]
    staked = [
        neuron
        for neuron in metagraph.neurons
        if neuron.stake >= minimum_stake and neuron.hotkey not in always
    ]
    staked.sort(key=lambda neuron: (-neuron.stake, neuron.uid))
    return (favoured + staked)[: max(limit, len(favoured))]

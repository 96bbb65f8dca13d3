"""What the chain says: whether it answers at all, whether we are registered, what the time is."""

from collections.abc import Callable
from datetime import UTC, datetime

from compute_horde_common.chain.interface import (
    Chain,
    ChainError,
    ChainRefused,
    Metagraph,
    Neuron,
    chain_validators,
)
from compute_horde_common.contrib.django.doctor.findings import Finding, fail, ok, warn

ANSWER_SECONDS = 20.0
"""How long the chain may take: a first answer comes with a megabyte of its runtime."""


class SubnetLook:
    """One look at the subnet, which several checks share.

    Args:
        open: a connection to the chain.
        network: the network's name or address.
        netuid: the subnet's number.
    """

    def __init__(self, open: Callable[[], Chain], network: str, netuid: int) -> None:  # noqa: A002 - as in Wallet
        self.network = network
        self.netuid = netuid
        self._chain: Chain | None = None
        self._metagraph: Metagraph | None = None
        self._fault = ""
        try:
            self._chain = open()
        except ValueError as error:
            self._fault = str(error)

    @property
    def metagraph(self) -> Metagraph:
        """What the chain said when it was asked by `answers`."""
        if self._metagraph is None:
            raise RuntimeError("the chain was not asked yet")
        return self._metagraph

    async def answers(self) -> Finding:
        """Whether the chain answers and has our subnet."""
        where = f"subnet {self.netuid} of {self.network}"
        if self._chain is None:
            return fail(
                self._fault, "BITTENSOR_NETWORK is finney, test, or a node's ws:// or wss:// URL."
            )
        try:
            self._metagraph = await self._chain.metagraph()
        except ChainRefused as error:
            return fail(
                f"{where}: {error}",
                "Check BITTENSOR_NETUID and BITTENSOR_NETWORK: the subnet is number 12 on finney.",
            )
        except ChainError as error:
            return fail(
                f"{where}: {error}",
                "Check BITTENSOR_NETWORK, and this machine's way out: its firewall, its DNS.",
            )
        found = self._metagraph
        return ok(f"{where}: block {found.block}, {len(found.neurons)} neurons")

    async def block_time(self) -> datetime | None:
        """When the newest block was made; None if the chain does not say."""
        if self._chain is None:
            return None
        try:
            return (await self._chain.block_time()).astimezone(UTC)
        except ChainError:
            return None

    async def aclose(self) -> None:
        """Lets go of the connection."""
        if self._chain is not None:
            await self._chain.aclose()

    def neuron(self, hotkey: str) -> Neuron | Finding:
        """A registered hotkey's place, or what is wrong."""
        metagraph = self.metagraph
        if (neuron := metagraph.by_hotkey().get(hotkey)) is not None:
            return neuron
        where = f"subnet {self.netuid} of {self.network}"
        if any(other.coldkey == hotkey for other in metagraph.neurons):
            return fail(
                f"{hotkey} is a coldkey, and owns neurons of {where}",
                "Remove this file from this machine, and put the file of the registered hotkey in"
                " its place. A coldkey must never be on a server.",
            )
        return fail(
            f"hotkey {hotkey} is not registered in {where}",
            "Register it, on your own machine:"
            f" `btcli subnet register --netuid {self.netuid} --network {self.network}`; or check"
            " that wallet and network are the ones you mean.",
        )

    async def miner_is_registered(self, hotkey: str) -> Finding:
        """Whether a miner has its place."""
        found = self.neuron(hotkey)
        return found if isinstance(found, Finding) else ok(f"uid {found.uid}")

    async def validator_counts(self, hotkey: str) -> Finding:
        """Whether a validator has its place, and stake enough for miners to serve it."""
        found = self.neuron(hotkey)
        if isinstance(found, Finding):
            return found
        said = f"uid {found.uid}, stake {found.stake:.0f}"
        if found not in chain_validators(self.metagraph):
            return warn(
                f"{said}: too little for miners and the facilitator to serve it",
                "They serve those with most stake: see to more of it, or, for tests, run"
                " `allow_validator` with this hotkey there.",
            )
        if not found.validator_permit:
            return warn(
                f"{said}, but no validator permit",
                "The chain gives permits once a tempo, to those with most stake.",
            )
        return ok(f"{said}, with validator permit")

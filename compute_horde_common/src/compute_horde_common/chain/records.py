"""What the chain's decoded records mean.

A field that is missing raises LookupError, one that is of another kind TypeError or ValueError:
the runtime is then not the one this release was written for.
"""

import ipaddress
from collections.abc import Mapping
from typing import Any

from compute_horde_common.chain.interface import Address, Hyperparameters, Neuron

RAO_PER_UNIT = 1e9
IPV4 = 4
HYPERPARAMETERS = (
    "Tempo",
    "WeightsSetRateLimit",
    "ServingRateLimit",
    "CommitRevealWeightsEnabled",
    "RevealPeriodEpochs",
    "ImmunityPeriod",
    "MaxAllowedUids",
    "MinAllowedWeights",
)
"""Items of ``SubtensorModule``, each by netuid."""


def axon_of(record: Mapping[str, Any]) -> Address | None:
    """Where a neuron says it serves; None when it never said."""
    value, port = int(record["ip"]), int(record["port"])
    if not value or not port:
        return None
    ip = (
        ipaddress.IPv4Address(value & 0xFFFFFFFF)
        if int(record["ip_type"]) == IPV4
        else ipaddress.IPv6Address(value)
    )
    return Address(str(ip), port)


def neurons_of(record: Mapping[str, Any]) -> tuple[Neuron, ...]:
    """The rows of a metagraph, which the chain keeps as columns."""
    columns = zip(
        record["hotkeys"],
        record["coldkeys"],
        record["total_stake"],
        record["axons"],
        record["validator_permit"],
        record["last_update"],
        strict=True,
    )
    return tuple(
        Neuron(
            uid=uid,
            hotkey=str(hotkey),
            coldkey=str(coldkey),
            stake=int(stake) / RAO_PER_UNIT,
            axon=axon_of(axon),
            validator_permit=bool(permit),
            last_update=int(last_update),
        )
        for uid, (hotkey, coldkey, stake, axon, permit, last_update) in enumerate(columns)
    )


def hyperparameters_of(values: Mapping[str, Any]) -> Hyperparameters:
    """A subnet's settings by the names of their storage items."""
    return Hyperparameters(
        tempo=int(values["Tempo"]),
        weights_rate_limit=int(values["WeightsSetRateLimit"]),
        serving_rate_limit=int(values["ServingRateLimit"]),
        commit_reveal_enabled=bool(values["CommitRevealWeightsEnabled"]),
        reveal_period_epochs=int(values["RevealPeriodEpochs"]),
        immunity_period=int(values["ImmunityPeriod"]),
        max_neurons=int(values["MaxAllowedUids"]),
        min_allowed_weights=int(values["MinAllowedWeights"]),
    )

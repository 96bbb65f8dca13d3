"""Runtime calls (``state_call``) that the devnet answers. Columns it does not model are zero."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from compute_horde_devnet.chain_node.blockchain import Block
from compute_horde_devnet.chain_node.codec import LIST_OF_ONE, Codec
from compute_horde_devnet.chain_node.storage import NotModelled
from compute_horde_devnet.pallets import Axon, Seat, Subnet

METADATA_CALL = "Metadata_metadata_at_version"
METADATA_VERSION = (15).to_bytes(4, "little")
NO_METADATA = b"\x00"
NO_AXON = Axon(block=0, version=0, ip=0, port=0, ip_type=0, protocol=0)
PER_SEAT_ZERO = (
    "pruning_score",
    "emission",
    "dividends",
    "incentives",
    "consensus",
    "trust",
    "rank",
    "tao_stake",
    "collateral_locked",
    "collateral_min",
    "collateral_earned",
)


def call(codec: Codec, block: Block, name: str, data: bytes) -> bytes:
    """Answers a runtime call at a block.

    Raises:
        NotModelled: the devnet does not have it.
        Malformed: the arguments do not decode.
    """
    if name == METADATA_CALL:
        return codec.metadata if data == METADATA_VERSION else NO_METADATA
    api, _, method = name.partition("_")
    answer = MODELLED.get((api, method))
    if answer is None:
        raise NotModelled(f"the devnet node does not model the runtime call {name}")
    return codec.result(api, method, answer(codec, block, *codec.arguments(api, method, data)))


def _metagraph(codec: Codec, block: Block, netuid: int) -> dict[str, Any] | None:
    subnet = block.ledger.subnets.get(netuid)
    if subnet is None:
        return None
    rules, seats = subnet.rules, subnet.seats
    alpha = [subnet.stakes.get(seat.hotkey, 0) for seat in seats]
    record: dict[str, Any] = codec.zero("SubnetInfoRuntimeApi", "get_metagraph")
    record |= {
        "netuid": netuid,
        "block": block.number,
        "tempo": rules.tempo,
        "min_allowed_weights": rules.min_allowed_weights,
        "weights_rate_limit": rules.weights_rate_limit,
        "num_uids": len(seats),
        "max_uids": rules.max_neurons,
        "burn": rules.burn,
        "registration_allowed": True,
        "immunity_period": rules.immunity_period,
        "serving_rate_limit": rules.serving_rate_limit,
        "commit_reveal_weights_enabled": rules.commit_reveal_enabled,
        "commit_reveal_period": rules.reveal_period_epochs,
    }
    return record | _columns(subnet, alpha)


def _columns(subnet: Subnet, alpha: list[int]) -> dict[str, Any]:
    seats = subnet.seats
    return {name: [0] * len(seats) for name in PER_SEAT_ZERO} | {
        "hotkeys": [seat.hotkey for seat in seats],
        "coldkeys": [seat.coldkey for seat in seats],
        "identities": [None] * len(seats),
        "axons": [_axon(subnet, seat) for seat in seats],
        "active": [True] * len(seats),
        "validator_permit": [subnet.permitted(seat.hotkey) for seat in seats],
        "last_update": [0] * len(seats),
        "block_at_registration": [seat.registered_at for seat in seats],
        "alpha_stake": alpha,
        "total_stake": alpha,
    }


def _neurons_lite(codec: Codec, block: Block, netuid: int) -> list[dict[str, Any]]:
    subnet = block.ledger.subnets.get(netuid, Subnet())
    [blank] = codec.zero("NeuronInfoRuntimeApi", "get_neurons_lite", within=LIST_OF_ONE)
    return [
        blank
        | {
            "hotkey": seat.hotkey,
            "coldkey": seat.coldkey,
            "uid": uid,
            "netuid": netuid,
            "active": True,
            "axon_info": _axon(subnet, seat),
            "stake": [(seat.coldkey, subnet.stakes.get(seat.hotkey, 0))],
            "validator_permit": subnet.permitted(seat.hotkey),
        }
        for uid, seat in enumerate(subnet.seats)
    ]


def _axon(subnet: Subnet, seat: Seat) -> dict[str, int]:
    return asdict(subnet.axons.get(seat.hotkey, NO_AXON))


MODELLED: Mapping[tuple[str, str], Callable[..., Any]] = {
    ("SubnetInfoRuntimeApi", "get_metagraph"): _metagraph,
    ("NeuronInfoRuntimeApi", "get_neurons_lite"): _neurons_lite,
}

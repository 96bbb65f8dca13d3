"""SCALE by the live chain's metadata: the one file that knows the codec library's shapes."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import bittensor_core

SS58_FORMAT = 42
SR25519 = 1
MODULE_ERROR_BYTES = 4
COMPACT_BIG = 3
OPTION_SOME = b"\x01"
LIST_OF_ONE = b"\x04"
NO_WEIGHT = {"ref_time": 0, "proof_size": 0}
DISPATCH_INFO = {"weight": NO_WEIGHT, "class": "Normal", "pays_fee": "No"}
PLENTY_OF_ZEROS = bytes(8192)

Item = tuple[str, str]
Params = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class SignedCall:
    """A signed extrinsic, taken apart. Nothing in it has been checked."""

    data: bytes
    hash: str
    signer: str
    signature: bytes
    nonce: int
    tip: int
    era: tuple[int, int] | None
    """Period and phase; None for an immortal one."""
    call: bytes
    pallet: str
    function: str
    arguments: dict[str, Any]


class Malformed(ValueError):
    """Bytes that are no signed extrinsic, or one in a form the devnet does not model."""


class Codec:
    """Encoding and decoding by one metadata blob (SCALE ``Option<OpaqueMetadata>``)."""

    def __init__(self, metadata: bytes) -> None:
        self.metadata = metadata
        blob = _unwrapped(metadata)
        self.version: dict[str, Any] = bittensor_core.Runtime(blob, 0, 0, SS58_FORMAT).constant(
            "System", "Version"
        )
        self._runtime = bittensor_core.Runtime(
            blob,
            self.version["spec_version"],
            self.version["transaction_version"],
            SS58_FORMAT,
        )

    # -- extrinsics

    def signed_call(self, data: bytes) -> SignedCall:
        """Takes an extrinsic apart.

        Raises:
            Malformed: it is none, is unsigned, or uses what is not modelled.
        """
        try:
            value = self._runtime.decode_extrinsic(data, True)
        except (ValueError, LookupError) as error:
            raise Malformed(f"not an extrinsic of this runtime: {error}") from error
        signature = value.get("signature")
        if not isinstance(signature, dict) or "Sr25519" not in signature:
            raise Malformed("the devnet models extrinsics with an sr25519 signature only")
        if not isinstance(value["address"], str):
            raise Malformed("the devnet models plain account addresses only")
        if value["mode"] != {"mode": "Disabled"}:
            raise Malformed("the devnet does not model metadata hashes in extrinsics")
        era = None if value["era"] == "00" else (value["era"][0], value["era"][1])
        call = value["call"]
        return SignedCall(
            data=data,
            hash=value["extrinsic_hash"],
            signer=value["address"],
            signature=bytes.fromhex(signature["Sr25519"][2:]),
            nonce=int(value["nonce"]),
            tip=int(value["tip"]),
            era=era,
            call=self._call_bytes(data, value, era),
            pallet=call["call_module"],
            function=call["call_function"],
            arguments={argument["name"]: argument["value"] for argument in call["call_args"]},
        )

    def _call_bytes(self, data: bytes, value: dict[str, Any], era: tuple[int, int] | None) -> bytes:
        """The call is the tail; its hash, which the codec computed, proves the cut."""
        extra, _ = self._runtime.signature_payload_parts(
            era=_era(era),
            nonce=value["nonce"],
            tip=value["tip"],
            tip_asset_id=None,
            genesis_hash=bytes(32),
            era_block_hash=bytes(32),
        )
        head = 1 + 1 + 32 + 1 + 64 + len(bytes(extra))
        call = data[_compact_width(data[0]) + head :]
        if "0x" + hash32(call).hex() != value["call"]["call_hash"]:
            raise Malformed("the extrinsic is not in its canonical form")
        return call

    def is_signed_by_its_signer(self, call: SignedCall, genesis: bytes, era_block: bytes) -> bool:
        """Whether the signature covers this call on this chain, anchored at that block."""
        payload = self._runtime.signature_payload(
            call.call,
            era=_era(call.era),
            nonce=call.nonce,
            tip=call.tip,
            tip_asset_id=None,
            genesis_hash=genesis,
            era_block_hash=era_block,
        )
        try:
            return bool(bittensor_core.verify(bytes(payload), call.signature, call.signer, SR25519))
        except ValueError:
            return False

    # -- events

    def events(self, records: Sequence[tuple[int, str, str, Any]]) -> bytes:
        """``System.Events`` of (extrinsic's index, pallet, name, fields)."""
        return self.encode_storage(
            ("System", "Events"),
            [
                {
                    "phase": {"ApplyExtrinsic": index},
                    "event": {pallet: {name: fields}},
                    "topics": [],
                }
                for index, pallet, name, fields in records
            ],
        )

    def dispatch_error(self, pallet: str, error: str) -> dict[str, Any]:
        """A pallet's error with its true indices."""
        module, index = self._errors[(pallet, error)]
        encoded = index.to_bytes(MODULE_ERROR_BYTES, "little").hex()
        return {"Module": {"index": module, "error": f"0x{encoded}"}}

    @cached_property
    def _errors(self) -> dict[tuple[str, str], tuple[int, int]]:
        return {
            (pallet["name"], error["name"]): (pallet["index"], error["index"])
            for pallet in self._runtime.metadata_ir()["pallets"]
            for error in pallet["errors"]
        }

    # -- storage

    def encode_storage(self, item: Item, value: Any) -> bytes:  # noqa: ANN401 - any SCALE value
        """A storage item's value."""
        entry = self._runtime.storage_entry(*item)
        return bytes(self._runtime.encode(entry.value_type, value))

    def storage_key(self, item: Item, params: Params) -> bytes:
        """The full key of one entry."""
        return bytes(self._runtime.storage_key(*item, list(params)))

    def storage_prefix(self, item: Item) -> bytes:
        """The 32 bytes that every key of an item begins with."""
        return bytes(self._runtime.storage_prefix(*item))

    def storage_params(self, item: Item, key: bytes) -> Params:
        """What a full key of an item was made of.

        Raises:
            Malformed: it is not a full key.
        """
        try:
            return tuple(self._runtime.decode_storage_key_params(*item, key, 0))
        except ValueError as error:
            raise Malformed(f"not a key of {'.'.join(item)}: {error}") from error

    def storage_names(self) -> Iterable[Item]:
        """Every storage item of the runtime, modelled or not."""
        for pallet in self._runtime.metadata_ir()["pallets"]:
            for entry in pallet["storage"]:
                yield pallet["name"], entry["name"]

    # -- runtime calls

    def arguments(self, api: str, method: str, data: bytes) -> list[Any]:
        """The arguments of a runtime call.

        Raises:
            Malformed: the bytes do not fit the method.
        """
        values: list[Any] = []
        try:
            for _, kind in self._apis[api][method]["inputs"]:
                value = self._runtime.decode(kind, data, False)
                data = data[len(bytes(self._runtime.encode(kind, value))) :]
                values.append(value)
        except (ValueError, LookupError) as error:
            raise Malformed(f"not arguments of {api}_{method}: {error}") from error
        if data:
            raise Malformed(f"{len(data)} bytes too many for {api}_{method}")
        return values

    def result(self, api: str, method: str, value: Any) -> bytes:  # noqa: ANN401 - any SCALE value
        """A runtime call's answer."""
        if value is None:
            return b"\x00"
        return bytes(self._runtime.encode(self._apis[api][method]["output"], value))

    def zero(self, api: str, method: str, *, within: bytes = OPTION_SOME) -> Any:  # noqa: ANN401
        """The answer with every number zero, every list empty, every option inside it none.

        ``within`` is how the answer begins: as something that is there, or as a list of one.
        """
        output = self._apis[api][method]["output"]
        return self._runtime.decode(output, within + PLENTY_OF_ZEROS, False)

    @cached_property
    def _apis(self) -> dict[str, dict[str, Any]]:
        apis = self._runtime.runtime_api_map()
        names = ("SubnetInfoRuntimeApi", "NeuronInfoRuntimeApi")
        return {name: apis[name] for name in names}


def hash32(data: bytes) -> bytes:
    """BLAKE2b-256, the chain's hash."""
    return hashlib.blake2b(data, digest_size=32).digest()


def compact(value: int) -> bytes:
    """SCALE compact form of a number below 2**30."""
    for mode, width in ((0, 1), (1, 2), (2, 4)):
        if value < 1 << (8 * width - 2):
            return ((value << 2) | mode).to_bytes(width, "little")
    raise ValueError(f"{value} is beyond the devnet's numbers")


def is_address(text: str) -> bool:
    """Whether it is an address of this chain."""
    try:
        return bool(
            bittensor_core.ss58_encode(bytes(bittensor_core.ss58_decode(text)), SS58_FORMAT) == text
        )
    except (ValueError, TypeError):
        return False


def _era(era: tuple[int, int] | None) -> dict[str, int] | str:
    return "00" if era is None else {"period": era[0], "phase": era[1]}


def _compact_width(first: int) -> int:
    mode = first & 3
    return (first >> 2) + 5 if mode == COMPACT_BIG else (1, 2, 4)[mode]


def _unwrapped(metadata: bytes) -> bytes:
    return metadata[1 + _compact_width(metadata[1]) :]

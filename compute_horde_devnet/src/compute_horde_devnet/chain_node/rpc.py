"""The chain's JSON-RPC methods over a `Blockchain`: no sockets here. Anything else is refused."""

import string
from collections.abc import Callable, Mapping
from typing import Any

from compute_horde_devnet.chain_node import runtime_api
from compute_horde_devnet.chain_node.blockchain import Block, Blockchain, Refused
from compute_horde_devnet.chain_node.codec import Malformed, is_address
from compute_horde_devnet.chain_node.storage import NotModelled, Storage

METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
NOT_MODELLED = 4003
UNKNOWN_BLOCK = 4000
LARGEST_PAGE = 1000

Json = Any


class RpcFailed(Exception):
    """An error to answer with."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


class Rpc:
    """Answers requests about one chain."""

    def __init__(self, chain: Blockchain) -> None:
        self._chain = chain
        self._storage = Storage(chain.codec)

    def answer(self, method: str, params: list[Json]) -> Json:
        """The result of a method.

        Raises:
            RpcFailed: unknown method, wrong parameters, or the chain's refusal.
        """
        handler = METHODS.get(method)
        if handler is None:
            raise RpcFailed(
                METHOD_NOT_FOUND, f"the devnet node does not model the RPC method {method[:80]!r}"
            )
        try:
            return handler(self, *params)
        except Refused as refusal:
            raise RpcFailed(refusal.code, refusal.message, refusal.data) from refusal
        except NotModelled as error:
            raise RpcFailed(NOT_MODELLED, str(error)) from error
        except (Malformed, TypeError, ValueError, LookupError, ArithmeticError) as error:
            raise RpcFailed(INVALID_PARAMS, f"wrong parameters for {method}", str(error)) from error

    def submit(self, extrinsic: Json) -> str:
        """Takes an extrinsic into the pool; returns its hash."""
        return self._chain.submit(_bytes(extrinsic))

    def runtime_version(self, at: Json = None) -> Json:
        """What the codec of a client needs to know."""
        self._block(at)
        version = self._chain.codec.version
        return {
            "specName": version["spec_name"],
            "implName": version["impl_name"],
            "authoringVersion": version["authoring_version"],
            "specVersion": version["spec_version"],
            "implVersion": version["impl_version"],
            "apis": [list(api) for api in version["apis"]],
            "transactionVersion": version["transaction_version"],
            "stateVersion": version["system_version"],
        }

    def call(self, name: Json, data: Json, at: Json = None) -> str:
        """``state_call``."""
        codec = self._chain.codec
        return _hex(runtime_api.call(codec, self._block(at), str(name), _bytes(data)))

    def block_hash(self, number: Json = None) -> str | None:
        """The hash of a height, the head's if none is given."""
        if number is None:
            return self._chain.head.hash
        height = int(number, 16) if isinstance(number, str) else int(number)
        block = self._chain.at_height(height) if height >= 0 else None
        return block.hash if block else None

    def head_hash(self) -> str:
        """The newest block's; it is final at once."""
        return self._chain.head.hash

    def header(self, at: Json = None) -> Json:
        """The header of a block; null for an unknown one."""
        block = self._chain.head if at is None else self._chain.at(str(at))
        return header_of(block) if block else None

    def block(self, at: Json = None) -> Json:
        """A block with its extrinsics; null for an unknown one."""
        block = self._chain.head if at is None else self._chain.at(str(at))
        if block is None:
            return None
        extrinsics = [_hex(data) for data in block.extrinsics]
        body = {"header": header_of(block), "extrinsics": extrinsics}
        return {"block": body, "justifications": None}

    def storage(self, key: Json, at: Json = None) -> str | None:
        """One raw value."""
        value = self._storage.value(self._block(at), _bytes(key))
        return None if value is None else _hex(value)

    def storage_of_many(self, keys: Json, at: Json = None) -> Json:
        """Many raw values at one block."""
        if len(keys) > LARGEST_PAGE:
            raise ValueError(f"at most {LARGEST_PAGE} keys at a time")
        block = self._block(at)
        changes = [[key, self.storage(key, block.hash)] for key in keys]
        return [{"block": block.hash, "changes": changes}]

    def keys(self, prefix: Json, count: Json, start: Json = None, at: Json = None) -> list[str]:
        """A page of keys."""
        after = _bytes(start) if start else b""
        found = self._storage.keys(self._block(at), _bytes(prefix))
        page = [key for key in found if key > after]
        return [_hex(key) for key in page[: max(0, min(int(count), LARGEST_PAGE))]]

    def next_index(self, address: Json) -> int:
        """The nonce that an account's next extrinsic must have."""
        if not is_address(str(address)):
            raise ValueError("not an ss58 address")
        return self._chain.next_index(str(address))

    def _block(self, at: Json) -> Block:
        block = self._chain.head if at is None else self._chain.at(str(at))
        if block is None:
            raise RpcFailed(UNKNOWN_BLOCK, "Client error: UnknownBlock", f"no block {str(at)[:80]}")
        return block


def header_of(block: Block) -> Json:
    """A header as JSON."""
    return {
        "parentHash": block.parent,
        "number": hex(block.number),
        "stateRoot": block.state_root,
        "extrinsicsRoot": block.extrinsics_root,
        "digest": {"logs": []},
    }


def _bytes(text: Json) -> bytes:
    if not isinstance(text, str):
        raise TypeError("hex text expected")
    digits = text.removeprefix("0x")
    if not set(digits) <= set(string.hexdigits):
        raise ValueError("hex text expected")
    return bytes.fromhex(digits)


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


METHODS: Mapping[str, Callable[..., Json]] = {
    "state_getRuntimeVersion": Rpc.runtime_version,
    "state_call": Rpc.call,
    "state_getStorage": Rpc.storage,
    "state_getStorageAt": Rpc.storage,
    "state_queryStorageAt": Rpc.storage_of_many,
    "state_getKeysPaged": Rpc.keys,
    "chain_getBlockHash": Rpc.block_hash,
    "chain_getHeader": Rpc.header,
    "chain_getBlock": Rpc.block,
    "chain_getHead": Rpc.head_hash,
    "chain_getFinalizedHead": Rpc.head_hash,
    "account_nextIndex": Rpc.next_index,
    "author_submitExtrinsic": Rpc.submit,
}

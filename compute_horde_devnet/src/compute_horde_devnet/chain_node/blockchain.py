"""A chain of blocks: a pool of checked extrinsics, sealing them, and the history.

It knows no time and no sockets: whoever owns it says when a block is sealed.
"""

from collections import deque
from dataclasses import dataclass

from compute_horde_devnet.chain_node.codec import (
    DISPATCH_INFO,
    Codec,
    Malformed,
    SignedCall,
    compact,
    hash32,
)
from compute_horde_devnet.chain_node.genesis import Genesis
from compute_horde_devnet.pallets import (
    CALLS,
    DispatchFailed,
    Ledger,
    signed_once_more,
)

BLOCKS_KEPT = 20_000
POOL_SIZE = 1024
INVALID_TRANSACTION = 1010
ALREADY_IMPORTED = 1013
PRIORITY_TOO_LOW = 1014
POOL_FULL = 1016
NO_DIGEST = b"\x00"

Record = tuple[int, str, str, object]


class Refused(Exception):
    """The pool does not take an extrinsic; the numbers and words are the chain's."""

    def __init__(self, code: int, message: str, data: str) -> None:
        super().__init__(f"{message}: {data}")
        self.code = code
        self.message = message
        self.data = data


@dataclass(frozen=True, slots=True)
class Block:
    """A sealed block and the ledger after it."""

    number: int
    hash: str
    parent: str
    state_root: str
    extrinsics_root: str
    milliseconds: int
    """Unix time."""
    extrinsics: tuple[bytes, ...]
    extrinsic_hashes: tuple[str, ...]
    events: bytes
    """``System.Events``, encoded."""
    ledger: Ledger


class Blockchain:
    """One devnet chain, finalized as it is sealed: it never forks."""

    def __init__(self, genesis: Genesis, codec: Codec, *, milliseconds: int) -> None:
        self.codec = codec
        self._pool: list[SignedCall] = []
        self._blocks: deque[Block] = deque()
        self._by_hash: dict[str, Block] = {}
        root = hash32(genesis.fingerprint() + codec.metadata)
        self._seal(genesis.ledger(), [], [], milliseconds=milliseconds, root=root)
        self.genesis_hash = self.head.hash

    @property
    def head(self) -> Block:
        """The newest block."""
        return self._blocks[-1]

    def at(self, block_hash: str) -> Block | None:
        """The block of that hash; None if there is none, or none any more."""
        return self._by_hash.get(block_hash)

    def at_height(self, number: int) -> Block | None:
        """The block of that number; None if there is none, or none any more."""
        if number == 0:
            return self._by_hash[self.genesis_hash]
        index = number - self._blocks[0].number
        return self._blocks[index] if 0 <= index < len(self._blocks) else None

    def next_index(self, address: str) -> int:
        """The nonce of an account's next extrinsic, counting those in the pool."""
        waiting = sum(call.signer == address for call in self._pool)
        return self.head.ledger.account(address).nonce + waiting

    def submit(self, data: bytes) -> str:
        """Takes an extrinsic into the pool. Returns its hash.

        Raises:
            Refused: it is malformed, unsigned, out of order, too old, or calls what is not
                modelled.
        """
        try:
            call = self.codec.signed_call(data)
        except Malformed as error:
            raise _invalid(str(error)) from error
        if any(waiting.hash == call.hash for waiting in self._pool):
            raise Refused(ALREADY_IMPORTED, "Transaction is already imported", call.hash)
        if len(self._pool) >= POOL_SIZE:
            raise Refused(POOL_FULL, "Immediately dropped", "the pool is full")
        self._check_modelled(call)
        self._check_nonce(call)
        self._check_signature(call)
        self._pool.append(call)
        return call.hash

    def seal(self, *, milliseconds: int) -> Block:
        """Makes a block of everything in the pool."""
        calls, self._pool = self._pool, []
        ledger = self.head.ledger
        records: list[Record] = []
        for index, call in enumerate(calls):
            ledger, told = self._applied(ledger, call, index)
            records.extend(told)
        return self._seal(ledger, calls, records, milliseconds=milliseconds)

    @staticmethod
    def _check_modelled(call: SignedCall) -> None:
        if (call.pallet, call.function) not in CALLS:
            name = f"{call.pallet}.{call.function}"
            raise _invalid(f"the devnet node does not model the call {name}")
        if call.tip:
            raise _invalid("the devnet node does not model tips")

    def _check_nonce(self, call: SignedCall) -> None:
        expected = self.next_index(call.signer)
        if call.nonce < self.head.ledger.account(call.signer).nonce:
            raise _invalid("Transaction is outdated")
        if call.nonce < expected:
            data = "The transaction has too low priority to replace another transaction"
            raise Refused(PRIORITY_TOO_LOW, "Priority is too low", data)
        if call.nonce > expected:
            # A live node would park it; nothing here submits out of order on purpose.
            raise _invalid("Transaction will be valid in the future")

    def _check_signature(self, call: SignedCall) -> None:
        birth = 0 if call.era is None else _birth(call.era, self.head.number)
        anchor = self.at_height(birth)
        if anchor is None:
            raise _invalid("Transaction has an ancient birth block")
        if not self.codec.is_signed_by_its_signer(
            call, bytes.fromhex(self.genesis_hash[2:]), bytes.fromhex(anchor.hash[2:])
        ):
            raise _invalid("Transaction has a bad signature")

    def _applied(self, ledger: Ledger, call: SignedCall, index: int) -> tuple[Ledger, list[Record]]:
        ledger = signed_once_more(ledger, call.signer)
        number = self.head.number + 1
        try:
            applied = CALLS[(call.pallet, call.function)](
                ledger, call.signer, number, **call.arguments
            )
        except DispatchFailed as failure:
            error = self.codec.dispatch_error(failure.pallet, failure.error)
            fields = {"dispatch_error": error, "dispatch_info": DISPATCH_INFO}
            return ledger, [(index, "System", "ExtrinsicFailed", fields)]
        records: list[Record] = [
            (index, event.pallet, event.name, event.fields) for event in applied.events
        ]
        records.append((index, "System", "ExtrinsicSuccess", {"dispatch_info": DISPATCH_INFO}))
        return applied.ledger, records

    def _seal(
        self,
        ledger: Ledger,
        calls: list[SignedCall],
        records: list[Record],
        *,
        milliseconds: int,
        root: bytes | None = None,
    ) -> Block:
        parent = self._blocks[-1] if self._blocks else None
        number = parent.number + 1 if parent else 0
        parent_hash = bytes.fromhex(parent.hash[2:]) if parent else bytes(32)
        extrinsics_root = hash32(b"".join(call.data for call in calls))
        state_root = root or hash32(parent_hash + milliseconds.to_bytes(8, "little"))
        header = parent_hash + compact(number) + state_root + extrinsics_root + NO_DIGEST
        block = Block(
            number=number,
            hash=_hex(hash32(header)),
            parent=_hex(parent_hash),
            state_root=_hex(state_root),
            extrinsics_root=_hex(extrinsics_root),
            milliseconds=milliseconds,
            extrinsics=tuple(call.data for call in calls),
            extrinsic_hashes=tuple(call.hash for call in calls),
            events=self.codec.events(records) if records else b"\x00",
            ledger=ledger,
        )
        self._blocks.append(block)
        self._by_hash[block.hash] = block
        self._forget()
        return block

    def _forget(self) -> None:
        """Old blocks go, except the first: every signature refers to it."""
        while len(self._blocks) > BLOCKS_KEPT:
            old = self._blocks.popleft()
            if old.number:
                del self._by_hash[old.hash]


def _birth(era: tuple[int, int], current: int) -> int:
    period, phase = era
    return (max(current, phase) - phase) // period * period + phase


def _invalid(why: str) -> Refused:
    return Refused(INVALID_TRANSACTION, "Invalid Transaction", why)


def _hex(data: bytes) -> str:
    return "0x" + data.hex()

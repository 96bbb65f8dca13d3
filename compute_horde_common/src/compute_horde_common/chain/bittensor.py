"""The chain through bittensor 11, of which this is the only importer.

Only the library's thin layer is used (storage, one runtime call, raw calls): its intents read
storage that is absent from some live runtimes. The library is cold until the first call, so an
object may be made before a process forks and may serve one event loop after another, provided that
it is closed before its loop ends.
"""

import asyncio
import ipaddress
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import bittensor
from bittensor.settings import (
    default_archive_endpoints,
    default_fallback_endpoints,
    resolve_endpoint,
)
from typing_extensions import override

from compute_horde_common.chain.heads import new_heads
from compute_horde_common.chain.interface import (
    Address,
    Chain,
    ChainRefused,
    ChainUnreachable,
    Head,
    Hyperparameters,
    Metagraph,
    NotRegistered,
    RuntimeMismatch,
)
from compute_horde_common.chain.keys import is_ss58, public_key_of
from compute_horde_common.chain.records import (
    HYPERPARAMETERS,
    axon_of,
    hyperparameters_of,
    neurons_of,
)
from compute_horde_common.protocol.signatures import Signer

SR25519 = 1
AXON_PROTOCOL = 4
AXON_VERSION = 1
REFUSED_ADDRESSES = frozenset({"0.0.0.0", "127.0.0.1", "255.255.255.255", "::", "::1"})
PALLET = "SubtensorModule"
NOT_REGISTERED = bittensor.ErrorCode.NOT_REGISTERED


@dataclass(frozen=True, slots=True)
class Limits:
    """How long this side waits, in seconds."""

    read: float = 30.0
    """Any read, the connection it may have to open included."""
    submit: float = 90.0
    """From signing to inclusion in a block."""
    close: float = 5.0
    silence: float = 60.0
    """Without a new block for so long, a subscription is presumed dead and made anew."""
    longest_pause: float = 15.0
    """The pauses between attempts to subscribe grow up to this."""


@dataclass(frozen=True, slots=True)
class _Home:
    """What belongs to one event loop."""

    loop: asyncio.AbstractEventLoop
    connecting: asyncio.Lock
    submitting: asyncio.Lock
    open: list[bittensor.RpcSubstrate]


@dataclass(frozen=True, slots=True)
class _ExtrinsicSigner:
    """A hotkey in the shape that the library signs with."""

    ss58_address: str
    public_key: bytes
    crypto_type: int
    sign: Callable[[bytes], bytes]


class _Substrate(bittensor.RpcSubstrate):
    """The library's access to a chain, which forgets a connection whose opening was cancelled:
    its task and socket would live on."""

    def __init__(self, primary: str, fallbacks: list[str], archives: list[str]) -> None:
        super().__init__(primary, fallback_endpoints=fallbacks, archive_endpoints=archives)
        self._begun: list[Any] = []

    @override
    def _interface(self, endpoint: str, fallbacks: list[str]) -> Any:
        connection = super()._interface(endpoint, fallbacks)
        self._begun.append(connection)
        return connection

    @override
    async def close(self) -> None:
        while self._begun:
            await self._begun.pop().close()
        await super().close()


class BittensorChain(Chain):
    """A subnet of a network: a name (``finney``, ``test``) or a ``ws://`` address of a node."""

    def __init__(
        self,
        network: str,
        netuid: int,
        signer: Signer | None = None,
        *,
        limits: Limits = Limits(),
    ) -> None:
        self.netuid = netuid
        label, primary = resolve_endpoint(network)
        fallbacks = [url for url in default_fallback_endpoints(label) if url != primary]
        self._endpoints = [primary, *fallbacks]
        self._archives = default_archive_endpoints(label)
        self._signer = signer
        self._limits = limits
        self._home: _Home | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @override
    async def head(self) -> Head:
        async with self._substrate(self._limits.read) as substrate:
            return await _head(substrate)

    @override
    async def block_time(self) -> datetime:
        async with self._substrate(self._limits.read) as substrate:
            at = await _head(substrate)
            milliseconds = await substrate.query("Timestamp", "Now", [], at.hash)
            return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)

    @override
    async def metagraph(self, block: int | None = None) -> Metagraph:
        async with self._substrate(self._limits.read) as substrate:
            at = await _head(substrate, block)
            record = await substrate.runtime_call(
                "SubnetInfoRuntimeApi", "get_metagraph", [self.netuid], at.hash
            )
            if record is None:
                raise ChainRefused("subnet_not_exists", f"subnet {self.netuid} does not exist")
            return Metagraph(self.netuid, at.number, at.hash, neurons_of(record))

    @override
    async def hyperparameters(self, block: int | None = None) -> Hyperparameters:
        async with self._substrate(self._limits.read) as substrate:
            at = await _head(substrate, block)
            values = await asyncio.gather(
                *(substrate.query(PALLET, name, [self.netuid], at.hash) for name in HYPERPARAMETERS)
            )
            return hyperparameters_of(dict(zip(HYPERPARAMETERS, values, strict=True)))

    @override
    async def registration(self, hotkey: str) -> int | None:
        if not is_ss58(hotkey):
            return None
        async with self._substrate(self._limits.read) as substrate:
            uid = await substrate.query(PALLET, "Uids", [self.netuid, hotkey])
            return None if uid is None else int(uid)

    @override
    async def publish_axon(self, address: Address) -> bool:
        ip = _publishable(address)
        signer = self._signed_by()
        async with self._substrate(self._limits.read) as substrate:
            published = await substrate.query(PALLET, "Axons", [self.netuid, signer.ss58_address])
        if published is not None and axon_of(published) == Address(str(ip), address.port):
            return False
        await self._submit(
            bittensor.calls.SubtensorModule.serve_axon(
                netuid=self.netuid,
                version=AXON_VERSION,
                ip=int(ip),
                port=address.port,
                ip_type=ip.version,
                protocol=AXON_PROTOCOL,
                placeholder1=0,
                placeholder2=0,
            ),
            signer,
        )
        return True

    async def register(self, hotkey: str, *, paid_by: Signer) -> int:
        """Buys a place in the subnet for a hotkey from a coldkey's balance. Returns its uid.

        Raises:
            ChainRefused: registered already, too little balance, no such subnet, ...
        """
        call = bittensor.calls.SubtensorModule.burned_register(netuid=self.netuid, hotkey=hotkey)
        await self._submit(call, _extrinsic_signer(paid_by))
        uid = await self.registration(hotkey)
        if uid is None:
            raise NotRegistered(f"{hotkey} lost its place right after it was registered")
        return uid

    @override
    async def heads(self) -> AsyncGenerator[Head, None]:
        pause = 0.0
        for endpoint in itertools.cycle(self._endpoints):
            await asyncio.sleep(pause)
            pause = min(self._limits.longest_pause, pause * 2 + 0.25)
            async with aclosing(self._heads_until_broken(endpoint)) as stream:
                async for head in stream:
                    pause = 0.0
                    yield head

    @override
    async def aclose(self) -> None:
        home, self._home = self._home, None
        if home is not None and home.loop is asyncio.get_running_loop():
            await self._let_go(home)

    async def _heads_until_broken(self, endpoint: str) -> AsyncGenerator[Head, None]:
        limits = self._limits
        news = new_heads(endpoint, answer=limits.read, silence=limits.silence, close=limits.close)
        with suppress(ChainUnreachable):
            async with aclosing(news) as stream:
                async for head in stream:
                    yield head

    async def _submit(self, call: object, signer: _ExtrinsicSigner) -> None:
        async with (
            self._own_home().submitting,
            self._substrate(self._limits.submit) as substrate,
        ):
            # Another process may have used the hotkey since: the nonce is asked for each time.
            substrate.raw.clear_nonce_cache_for_account(signer.ss58_address)
            composed = await substrate.compose(call)  # type: ignore[no-untyped-call]  # theirs
            result = await substrate.submit(composed, signer, wait_for_finalization=False)
            if result.error is not None:
                raise result.error
            if not result.success:
                raise ChainRefused("unknown", result.message)

    def _signed_by(self) -> _ExtrinsicSigner:
        if self._signer is None:
            raise ChainRefused("not_authorized", "this chain was opened without a hotkey")
        return _extrinsic_signer(self._signer)

    @asynccontextmanager
    async def _substrate(self, limit: float) -> AsyncIterator[bittensor.RpcSubstrate]:
        """The connection, for at most ``limit`` seconds, with the library's errors made ours."""
        home = self._own_home()
        used: bittensor.RpcSubstrate | None = None
        try:
            async with _translated(limit):
                used = await self._opened(home)
                yield used
        except (ChainUnreachable, RuntimeMismatch):
            await self._let_go(home)
            raise
        except ChainRefused as refusal:
            if used in home.open:
                raise
            raise ChainUnreachable(f"the connection was closed meanwhile ({refusal})") from refusal

    def _own_home(self) -> _Home:
        loop = asyncio.get_running_loop()
        if self._home is None or self._home.loop is not loop:
            self._home = _Home(loop, asyncio.Lock(), asyncio.Lock(), [])
        return self._home

    async def _opened(self, home: _Home) -> bittensor.RpcSubstrate:
        async with home.connecting:
            if not home.open:
                home.open.append(await self._connected())
            return home.open[0]

    async def _connected(self) -> bittensor.RpcSubstrate:
        substrate = self._cold()
        try:
            await substrate.connect()
        except BaseException:
            await self._close(substrate)
            raise
        return substrate

    def _cold(self) -> bittensor.RpcSubstrate:
        primary, *fallbacks = self._endpoints
        return _Substrate(primary, fallbacks, self._archives)

    async def _let_go(self, home: _Home) -> None:
        while home.open:
            await self._close(home.open.pop())

    async def _close(self, substrate: bittensor.RpcSubstrate) -> None:
        # The library's own task fails an assertion when a node says goodbye.
        with suppress(TimeoutError, OSError, bittensor.BittensorError, AssertionError):
            async with asyncio.timeout(self._limits.close):
                await substrate.close()


@asynccontextmanager
async def _translated(limit: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(limit):
            yield
    except TimeoutError as error:
        raise ChainUnreachable(f"the chain did not answer within {limit:g} s") from error
    except (bittensor.RpcConnectionError, bittensor.ConnectionNotReady, OSError) as error:
        raise ChainUnreachable(f"the chain is not reachable: {error}") from error
    except bittensor.ChainError as error:
        raise _refusal(error) from error
    except (LookupError, TypeError, ValueError) as error:
        # The library's codec reports what a runtime lacks with these.
        raise RuntimeMismatch(f"this release does not fit the chain's runtime: {error}") from error


def _refusal(error: bittensor.ChainError) -> ChainRefused | ChainUnreachable:
    if error.name is None and "Connection lost" in error.message:
        return ChainUnreachable(error.message)
    if error.code is NOT_REGISTERED:
        return NotRegistered(error.message)
    return ChainRefused(error.code.value, error.message)


async def _head(substrate: bittensor.RpcSubstrate, block: int | None = None) -> Head:
    block_hash = await substrate.block_hash(block)
    number = await substrate.raw.get_block_number(block_hash) if block is None else block
    return Head(number, block_hash)


def _extrinsic_signer(signer: Signer) -> _ExtrinsicSigner:
    return _ExtrinsicSigner(signer.ss58, public_key_of(signer.ss58), SR25519, signer.sign)


def _publishable(address: Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        ip = ipaddress.ip_address(address.host)
    except ValueError:
        raise ChainRefused(
            "invalid_argument", f"{address.host!r} is no IP address; the chain takes no names"
        ) from None
    if str(ip) in REFUSED_ADDRESSES:
        raise ChainRefused("invalid_argument", f"the chain does not take the address {ip}")
    if not 0 < address.port < 1 << 16:
        raise ChainRefused("invalid_argument", f"{address.port} is no port")
    return ip

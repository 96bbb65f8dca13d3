"""The websocket side of the node: requests, subscriptions, and the timer that seals blocks."""

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websocket
from websockets.exceptions import ConnectionClosed

from compute_horde_common.clock import Clock, SystemClock
from compute_horde_devnet.chain_node.blockchain import Block, Blockchain
from compute_horde_devnet.chain_node.codec import Codec
from compute_horde_devnet.chain_node.genesis import Genesis
from compute_horde_devnet.chain_node.rpc import INVALID_PARAMS, Rpc, RpcFailed, header_of
from compute_horde_devnet.metadata import load_metadata

LARGEST_FRAME = 1 << 20
LARGEST_BATCH = 100
NEWS_WAITING = 256
SUBSCRIPTIONS_PER_CONNECTION = 64
CONNECTIONS = 512
OPEN_SECONDS = 10.0
CLOSE_SECONDS = 2.0
PARSE_ERROR = -32700
INVALID_REQUEST = -32600
TOO_MANY = -32006
TRY_AGAIN_LATER = 1013

HEAD_SUBSCRIPTIONS = {
    "chain_subscribeNewHeads": "chain_newHead",
    "chain_subscribeNewHead": "chain_newHead",
    "chain_subscribeAllHeads": "chain_allHead",
    "chain_subscribeFinalizedHeads": "chain_finalizedHead",
}
WATCH = "author_submitAndWatchExtrinsic"
ENDINGS = frozenset(
    {
        "chain_unsubscribeNewHeads",
        "chain_unsubscribeNewHead",
        "chain_unsubscribeAllHeads",
        "chain_unsubscribeFinalizedHeads",
        "author_unwatchExtrinsic",
    }
)

Json = Any


@dataclass(eq=False)
class Peer:
    """One connection and what it asked to be told."""

    news: asyncio.Queue[str]
    heads: dict[str, str] = field(default_factory=dict)
    """Subscription to the name of its notifications."""
    watched: dict[str, str] = field(default_factory=dict)
    """Subscription to the hash of an extrinsic."""
    overrun: bool = False

    def tell(self, method: str, subscription: str, result: Json) -> None:
        """Queues a notification; whoever does not read them is cut off later."""
        params = {"subscription": subscription, "result": result}
        frame = json.dumps({"jsonrpc": "2.0", "method": method, "params": params})
        try:
            self.news.put_nowait(frame)
        except asyncio.QueueFull:
            self.overrun = True


class Node:
    """A chain, who is connected to it, and the clock it runs by."""

    def __init__(self, genesis: Genesis, metadata: bytes, clock: Clock) -> None:
        self._clock = clock
        self.chain = Blockchain(genesis, Codec(metadata), milliseconds=self._milliseconds())
        self._rpc = Rpc(self.chain)
        self._peers: dict[Peer, ServerConnection] = {}
        self._names = count(1)

    def seal(self) -> Block:
        """Makes the next block and tells everybody."""
        block = self.chain.seal(milliseconds=self._milliseconds())
        for peer, connection in self._peers.items():
            self._announce(peer, block)
            if peer.overrun:
                connection.transport.abort()
        return block

    async def converse(self, connection: ServerConnection) -> None:
        """Serves one connection until it closes."""
        if len(self._peers) >= CONNECTIONS:
            await connection.close(TRY_AGAIN_LATER, "too many connections")
            return
        peer = Peer(asyncio.Queue(NEWS_WAITING))
        self._peers[peer] = connection
        try:
            async with asyncio.TaskGroup() as tasks:
                telling = tasks.create_task(_tell(connection, peer))
                await self._hear(connection, peer)
                telling.cancel()
        finally:
            del self._peers[peer]

    async def _hear(self, connection: ServerConnection, peer: Peer) -> None:
        with suppress(ConnectionClosed):
            async for frame in connection:
                await connection.send(self._reply(peer, frame))

    def _reply(self, peer: Peer, frame: str | bytes) -> str:
        try:
            request = json.loads(frame)
        except (ValueError, RecursionError):
            return json.dumps(_failure(None, RpcFailed(PARSE_ERROR, "Parse error")))
        if not isinstance(request, list):
            return json.dumps(self._answer(peer, request))
        if not 0 < len(request) <= LARGEST_BATCH:
            return json.dumps(_failure(None, RpcFailed(INVALID_REQUEST, "Invalid batch")))
        return json.dumps([self._answer(peer, one) for one in request])

    def _answer(self, peer: Peer, request: Json) -> Json:
        if not isinstance(request, dict):
            return _failure(None, RpcFailed(INVALID_REQUEST, "Invalid request"))
        number, method = request.get("id"), request.get("method")
        params = request.get("params", [])
        if not isinstance(method, str) or not isinstance(params, list):
            return _failure(number, RpcFailed(INVALID_REQUEST, "method and positional params"))
        try:
            return {"jsonrpc": "2.0", "id": number, "result": self._result(peer, method, params)}
        except RpcFailed as failure:
            return _failure(number, failure)

    def _result(self, peer: Peer, method: str, params: list[Json]) -> Json:
        if method in ENDINGS:
            return self._unsubscribe(peer, params)
        if method not in HEAD_SUBSCRIPTIONS and method != WATCH:
            return self._rpc.answer(method, params)
        if len(peer.heads) + len(peer.watched) >= SUBSCRIPTIONS_PER_CONNECTION:
            raise RpcFailed(TOO_MANY, "too many subscriptions")
        name = str(next(self._names))
        if method == WATCH:
            peer.watched[name] = self._rpc.answer("author_submitExtrinsic", params)
            peer.tell("author_extrinsicUpdate", name, "ready")
            return name
        peer.heads[name] = HEAD_SUBSCRIPTIONS[method]
        peer.tell(peer.heads[name], name, header_of(self.chain.head))
        return name

    @staticmethod
    def _unsubscribe(peer: Peer, params: list[Json]) -> bool:
        if len(params) != 1:
            raise RpcFailed(INVALID_PARAMS, "one subscription is expected")
        name = str(params[0])
        known = name in peer.heads or name in peer.watched
        peer.heads.pop(name, None)
        peer.watched.pop(name, None)
        return known

    @staticmethod
    def _announce(peer: Peer, block: Block) -> None:
        for subscription, method in peer.heads.items():
            peer.tell(method, subscription, header_of(block))
        landed = [name for name, of in peer.watched.items() if of in block.extrinsic_hashes]
        for name in landed:
            peer.tell("author_extrinsicUpdate", name, {"inBlock": block.hash})
            peer.tell("author_extrinsicUpdate", name, {"finalized": block.hash})
            del peer.watched[name]

    def _milliseconds(self) -> int:
        return int(self._clock.now().timestamp() * 1000)


async def serve(
    genesis: Genesis,
    *,
    host: str = "127.0.0.1",
    port: int = 9944,
    block_time: float = 1.0,
    ready: Callable[[int], None] | None = None,
) -> None:
    """Runs a chain until it is cancelled.

    Args:
        genesis: what the chain is born with.
        host: the address to listen at.
        port: the port; 0 takes a free one.
        block_time: seconds from block to block.
        ready: told the port once connections are taken.

    Raises:
        MetadataUnavailable: the chain's metadata cannot be had.
        OSError: the port is taken.
    """
    node = Node(genesis, await asyncio.to_thread(load_metadata), SystemClock())
    async with serve_websocket(
        node.converse,
        host,
        port,
        max_size=LARGEST_FRAME,
        compression=None,
        open_timeout=OPEN_SECONDS,
        logger=_websocket_log(),
        close_timeout=CLOSE_SECONDS,
    ) as server:
        if ready is not None:
            ready(next(iter(server.sockets)).getsockname()[1])
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + block_time, loop.time())
            await asyncio.sleep(due - loop.time())
            node.seal()


def _websocket_log() -> logging.Logger:
    reports = logging.getLogger("compute_horde_devnet.chain_node.websocket")
    # Whoever waits for the port opens it and hangs up: no news.
    reports.addFilter(lambda record: record.msg != "opening handshake failed")
    return reports


async def _tell(connection: ServerConnection, peer: Peer) -> None:
    with suppress(ConnectionClosed):
        while True:
            await connection.send(await peer.news.get())


def _failure(number: Json, failure: RpcFailed) -> Json:
    error: dict[str, Json] = {"code": failure.code, "message": failure.message}
    if failure.data is not None:
        error["data"] = failure.data
    return {"jsonrpc": "2.0", "id": number, "error": error}

"""The stream of new blocks, straight from a node's JSON-RPC: plain text, nothing of it is SCALE.

The chain library has such a stream too, but one that reconnects while it is being closed, and that
stays silent for ever after a node has said goodbye.
"""

import asyncio
import json
from collections.abc import AsyncGenerator

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from compute_horde_common.chain.interface import ChainUnreachable, Head

LARGEST_FRAME = 1 << 20
SUBSCRIBE = "chain_subscribeNewHeads"
NEWS = "chain_newHead"
BLOCK_HASH = "chain_getBlockHash"


async def new_heads(
    endpoint: str, *, answer: float, silence: float, close: float
) -> AsyncGenerator[Head, None]:
    """Blocks as the node at ``endpoint`` takes them for the newest, the present one first.

    Args:
        endpoint: a ``ws://`` or ``wss://`` address.
        answer: seconds that connecting and each question may take.
        silence: seconds without news after which the connection is given up.
        close: seconds that saying goodbye may take.

    Raises:
        ChainUnreachable: there is no connection, or no longer one.
    """
    try:
        async with connect(
            endpoint, max_size=LARGEST_FRAME, open_timeout=answer, close_timeout=close
        ) as connection:
            await _ask(connection, 0, SUBSCRIBE, [])
            while True:
                number = await _news(connection, silence)
                yield Head(number, await _hash(connection, number, answer))
    except (OSError, TimeoutError, WebSocketException) as error:
        raise ChainUnreachable(f"the stream of blocks from {endpoint} broke: {error}") from error
    except (LookupError, TypeError, ValueError) as error:
        raise ChainUnreachable(f"{endpoint} does not talk like a chain: {error!r}") from error


async def _ask(connection: ClientConnection, identity: int, method: str, params: list[int]) -> None:
    request = {"jsonrpc": "2.0", "id": identity, "method": method, "params": params}
    await connection.send(json.dumps(request))


async def _news(connection: ClientConnection, limit: float) -> int:
    async with asyncio.timeout(limit):
        while True:
            frame = json.loads(await connection.recv())
            if "error" in frame:
                raise ValueError(frame["error"])
            if frame.get("method") == NEWS:
                return int(frame["params"]["result"]["number"], 16)


async def _hash(connection: ClientConnection, number: int, limit: float) -> str:
    """Asks for the hash of a height. News that come before the answer are superseded by it."""
    identity = number + 1
    await _ask(connection, identity, BLOCK_HASH, [number])
    async with asyncio.timeout(limit):
        while True:
            frame = json.loads(await connection.recv())
            if frame.get("id") == identity:
                return str(frame["result"])

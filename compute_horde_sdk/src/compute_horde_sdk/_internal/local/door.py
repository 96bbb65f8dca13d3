"""Where an executor connects: a websocket server on loopback for one executor alone."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from compute_horde_common.protocol.live import JOB_CONTROL
from compute_horde_common.protocol.miner_executor import MAX_FRAME

ADDRESS: Final = "127.0.0.1"

# That a server listens, and is closed again, is nothing that a user has to read.
_logger = logging.getLogger(__name__)
_logger.setLevel(logging.WARNING)


@asynccontextmanager
async def door(token: str) -> AsyncIterator[tuple[str, "asyncio.Future[ServerConnection]"]]:
    """The address for the executor with a token, and its connection, once it is there."""
    arrival: asyncio.Future[ServerConnection] = asyncio.get_running_loop().create_future()

    async def welcome(connection: ServerConnection) -> None:
        if not arrival.done():
            arrival.set_result(connection)
            await connection.wait_closed()

    def check(connection: ServerConnection, request: Request) -> Response | None:
        if request.path == f"/v0.1/executor_interface/{token}":
            return None
        return connection.respond(HTTPStatus.NOT_FOUND, "")

    async with serve(
        welcome,
        ADDRESS,
        0,
        subprotocols=[Subprotocol(JOB_CONTROL)],
        compression=None,
        process_request=check,
        max_size=MAX_FRAME,
        # Executors ask now and then whether we are there; one that is killed is noticed at once.
        ping_interval=None,
        logger=_logger,
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://{ADDRESS}:{port}", arrival

"""Bytes between the client's TLS connections and the job's port.

What is inside TLS is not looked at: HTTP, websockets and bodies of any size pass. Nothing of a
client reaches the job before its certificate is known to be the one that the job named.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import cast

import structlog
from typing_extensions import override

HANDSHAKE_SECONDS = 5.0
SHUTDOWN_SECONDS = 600.0
"""For what is still on its way to a slow client when the job has closed. The job's end cuts it."""
CONNECT_SECONDS = 10.0
MAX_CONNECTIONS = 256
"""Of the client; more wait for one that ends."""
MAX_HANDSHAKES = 128
"""Of those who have not shown yet that they are the client."""

_BUFFER_BYTES = 256 * 1024
_HIGH_WATER_BYTES = 1024 * 1024
_ACCEPT_PAUSE_SECONDS = 0.1

Connect = Callable[[], Awaitable[socket.socket]]

log = structlog.get_logger(__name__)


class Relay:
    """Serves one listening socket.

    Strangers cannot keep the client out: those who have not shown its certificate have places of
    their own, and the one that has taken longest makes room for the next.

    Args:
        listener: where clients connect.
        context: the TLS that they have to speak.
        client: the only certificate (DER) that is let in.
        connect: opens a connection to the job.
        stranger: an address from which nobody is let in: the job's own, where it can reach us.
        handshake_seconds: how long a handshake may take.
    """

    def __init__(
        self,
        listener: socket.socket,
        context: ssl.SSLContext,
        client: bytes,
        connect: Connect,
        *,
        stranger: str | None = None,
        handshake_seconds: float = HANDSHAKE_SECONDS,
    ) -> None:
        self._listener = listener
        self._context = context
        self._client = client
        self._connect = connect
        self._stranger = stranger
        self._handshake_seconds = handshake_seconds
        self._lanes = asyncio.Semaphore(MAX_CONNECTIONS)
        self._unknown: dict[asyncio.Task[None], None] = {}
        self._known: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Accepts until it is cancelled; then all connections are closed."""
        async with asyncio.TaskGroup() as group:
            while True:
                accepted, peer = await self._accept()
                if peer == self._stranger:
                    accepted.close()
                    continue
                if len(self._unknown) >= MAX_HANDSHAKES:
                    next(iter(self._unknown)).cancel()
                task = group.create_task(self._hold(accepted))
                self._unknown[task] = None
                task.add_done_callback(lambda done: self._unknown.pop(done, None))

    async def drain(self, seconds: float) -> None:
        """Returns once the client's connections have ended, at the latest after so many seconds."""
        if self._known:
            await asyncio.wait(set(self._known), timeout=seconds)

    async def _accept(self) -> tuple[socket.socket, str]:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(self._listener)
            except OSError as failure:
                # Too many open files, say; those that are open close by themselves.
                log.warning("client cannot be accepted", reason=failure.strerror)
                await asyncio.sleep(_ACCEPT_PAUSE_SECONDS)
            else:
                return accepted, str(address[0])

    async def _hold(self, accepted: socket.socket) -> None:
        try:
            await self._relay(accepted)
        except (OSError, ssl.SSLError, TimeoutError) as failure:
            log.info("client turned away", reason=type(failure).__name__)
        finally:
            accepted.close()

    async def _relay(self, accepted: socket.socket) -> None:
        outside = await self._shake_hands(accepted)
        ends = [outside]
        try:
            if outside.peer_certificate() != self._client:
                log.warning("client with another certificate")
                return
            self._know(_this_task())
            async with self._lanes:
                inside = await self._reach_job()
                ends.append(inside)
                outside.pass_to(inside)
                inside.pass_to(outside)
                await asyncio.wait({outside.lost, inside.lost})
        finally:
            for end in ends:
                end.abort()

    def _know(self, task: asyncio.Task[None]) -> None:
        """From now on this is one of the client's own connections."""
        self._unknown.pop(task, None)
        self._known.add(task)
        task.add_done_callback(self._known.discard)

    async def _shake_hands(self, accepted: socket.socket) -> "_End":
        loop = asyncio.get_running_loop()
        _, end = await loop.connect_accepted_socket(
            _End,
            accepted,
            ssl=self._context,
            ssl_handshake_timeout=self._handshake_seconds,
            ssl_shutdown_timeout=SHUTDOWN_SECONDS,
        )
        return end

    async def _reach_job(self) -> "_End":
        async with asyncio.timeout(CONNECT_SECONDS):
            reached = await self._connect()
        _, end = await asyncio.get_running_loop().create_connection(_End, sock=reached)
        return end


def _this_task() -> asyncio.Task[None]:
    task: asyncio.Task[None] | None = asyncio.current_task()
    if task is None:
        raise RuntimeError("a relayed connection is held by a task")
    return task


class _End(asyncio.BufferedProtocol):
    """One end of a relayed connection; what it receives goes to the other one.

    It does not read before it knows the other end, and not while that one is full.
    """

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._view = memoryview(bytearray(_BUFFER_BYTES))
        self._other: _End | None = None

    def peer_certificate(self) -> bytes | None:
        """What the peer showed, as DER."""
        tls: ssl.SSLObject = self._transport.get_extra_info("ssl_object")
        return tls.getpeercert(binary_form=True)

    def pass_to(self, other: "_End") -> None:
        """From now on, what is received goes there."""
        self._other = other
        self.read_on()

    def send(self, data: bytes) -> None:
        """Sends what the other end received."""
        self._transport.write(data)

    def read_on(self) -> None:
        """The other end has room again."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def hold(self) -> None:
        """The other end is full."""
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def close(self) -> None:
        """Closes once everything is sent."""
        self._transport.close()

    def abort(self) -> None:
        """Closes at once; what is on its way is lost."""
        self._transport.abort()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER_BYTES)
        self._transport.pause_reading()

    @override
    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view

    @override
    def buffer_updated(self, nbytes: int) -> None:
        if self._other is not None:
            # The transport may keep what it is given, and this buffer is used again.
            self._other.send(bytes(self._view[:nbytes]))

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(None)
        if self._other is not None:
            self._other.close()

    @override
    def pause_writing(self) -> None:
        if self._other is not None:
            self._other.hold()

    @override
    def resume_writing(self) -> None:
        if self._other is not None:
            self._other.read_on()

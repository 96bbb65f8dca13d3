"""HTTP connections that read in large pieces, and are used once.

httpcore asks for 64 KiB at a time, which halves the speed of a large download: what the event loop
has already received is then cut and copied again and again.
"""

import ssl
from collections.abc import Iterable

import httpcore
import httpx
from typing_extensions import override

_READ_BYTES = 1024 * 1024


class Connections(httpx.AsyncHTTPTransport):
    """Certificates are judged by the environment's authorities; proxies are not used."""

    def __init__(self) -> None:
        # This pool is all that the constructor of httpx would make, without a choice of backend.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=httpx.create_ssl_context(),
            max_connections=None,
            max_keepalive_connections=0,
            network_backend=_Backend(),
        )


class _Backend(httpcore.AnyIOBackend):
    @override
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return _Stream(
            await super().connect_tcp(host, port, timeout, local_address, socket_options)
        )


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self._inner = inner

    @override
    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._inner.read(max(max_bytes, _READ_BYTES), timeout)

    @override
    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._inner.write(buffer, timeout)

    @override
    async def aclose(self) -> None:
        await self._inner.aclose()

    @override
    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return _Stream(await self._inner.start_tls(ssl_context, server_hostname, timeout))

    @override
    def get_extra_info(self, info: str) -> object:
        return self._inner.get_extra_info(info)

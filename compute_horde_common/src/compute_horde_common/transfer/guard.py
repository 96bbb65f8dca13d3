"""Which addresses a job's URLs may reach, and an HTTP client that reaches no others.

A name is resolved once, every address it has is judged, and the connection goes to an address that
was judged: no second look-up can give another answer. Proxies and .netrc of the environment are
not used. Redirects are not followed here; whoever follows one makes a new request.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import httpx
from typing_extensions import override

from compute_horde_common.transfer.connections import Connections
from compute_horde_common.transfer.errors import AddressRefused, UrlRefused

CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
WRITE_SECONDS = 60.0

Address = IPv4Address | IPv6Address
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

# Broadcast, and services of cloud hosts for their own machines, at addresses that look ordinary.
_NEVER = frozenset(
    ip_address(text)
    for text in ("255.255.255.255", "168.63.129.16", "100.100.100.200", "fd00:ec2::254")
)
# The IPv4 address that such an IPv6 one leads to is in its last 32 bits.
_IPV4_INSIDE = tuple(
    ip_network(text) for text in ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48")
)
_LOOPBACK = IPv6Address("::1")
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})
_LOW_32_BITS = 0xFFFFFFFF
# Not all of these are known to Python as such.
_NOT_PUBLIC = tuple(ip_network(text) for text in ("3fff::/20", "5f00::/16", "fec0::/10"))


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a host as the system knows them; raises ``OSError``."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]).partition("%")[0] for entry in found]


class AddressGuard:
    """Judges hosts. With ``allow_private``, loopback and private networks are open too."""

    def __init__(self, *, allow_private: bool = False, resolver: Resolver = resolve) -> None:
        self._allow_private = allow_private
        self._resolver = resolver

    async def addresses(self, url: httpx.URL) -> list[str]:
        """Where to connect to, all of them allowed. Raises ``AddressRefused``, or ``OSError``."""
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            found = await self._resolver(url.host, port)
        except UnicodeError:
            raise UrlRefused(str(url), "the name of the host is malformed") from None
        for text in found:
            if not self.permits(ip_address(text)):
                raise AddressRefused(
                    str(url), "the host is at an address that jobs may not reach (not public)"
                )
        return list(dict.fromkeys(found))

    def permits(self, address: Address) -> bool:
        """Whether connections to this address are allowed."""
        return all(self._permits_one(each) for each in (address, *_embedded(address)))

    def _permits_one(self, address: Address) -> bool:
        if address in _NEVER or address.is_link_local or address.is_multicast:
            return False
        if address.is_unspecified:
            return False
        if self._allow_private:
            return address.is_global or address.is_private or address.is_loopback
        unlisted = any(address in network for network in _NOT_PUBLIC)
        return address.is_global and not address.is_reserved and not unlisted


def _embedded(address: Address) -> list[Address]:
    """The IPv4 addresses that an IPv6 one may lead to."""
    if isinstance(address, IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    inside = any(address in network for network in _IPV4_INSIDE)
    isatap = int(address) >> 32 & _LOW_32_BITS in _ISATAP
    if (inside or isatap) and address != _LOOPBACK:
        found.append(IPv4Address(int(address) & _LOW_32_BITS))
    return [each for each in found if each is not None]


class GuardedTransport(httpx.AsyncBaseTransport):
    """Connects to judged addresses only."""

    def __init__(self, guard: AddressGuard) -> None:
        self._guard = guard
        # Connections are not kept: one made to an address for one name must not serve another.
        self._inner = Connections()

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.scheme not in {"http", "https"} or not request.url.host:
            raise UrlRefused(str(request.url), "only http and https URLs with a host are used")
        try:
            addresses = await self._guard.addresses(request.url)
        except OSError:
            raise httpx.ConnectError("the host's name does not resolve", request=request) from None
        failure = httpx.ConnectError("the host has no address", request=request)
        for address in addresses:
            try:
                return await self._inner.handle_async_request(_pinned(request, address))
            except (httpx.ConnectError, httpx.ConnectTimeout) as broken:
                failure = httpx.ConnectError(str(broken), request=request)
        raise failure

    @override
    async def aclose(self) -> None:
        await self._inner.aclose()


def _pinned(request: httpx.Request, address: str) -> httpx.Request:
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": request.url.host},
    )


def guarded_client(guard: AddressGuard) -> httpx.AsyncClient:
    """An HTTP client for one job's transfers. Close it."""
    return httpx.AsyncClient(
        transport=GuardedTransport(guard),
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(
            connect=CONNECT_SECONDS, read=READ_SECONDS, write=WRITE_SECONDS, pool=None
        ),
    )


def parse_url(url: str) -> httpx.URL:
    """Raises ``UrlRefused``; the reason never repeats the URL, which may hold a secret."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError, ValueError):
        raise UrlRefused(url, "it is malformed") from None
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise UrlRefused(url, "only http and https URLs with a host are used")
    return parsed

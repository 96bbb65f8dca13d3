"""One GET, at the end of its redirects. Each hop is judged by the client's address guard."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx

from compute_horde_common.transfer.errors import UrlRefused
from compute_horde_common.transfer.guard import parse_url

MAX_REDIRECTS = 5


@asynccontextmanager
async def followed(
    client: httpx.AsyncClient,
    url: str,
    headers: Mapping[str, str],
    authorization: str | None = None,
) -> AsyncIterator[httpx.Response]:
    """The answer that is no redirect, its body unread.

    Compressed bodies are not asked for. ``authorization`` is said to the first URL's own scheme,
    host and port only. Raises ``UrlRefused``, ``AddressRefused``, ``httpx.HTTPError``.
    """
    hop = first = parse_url(url)
    for _ in range(MAX_REDIRECTS + 1):
        request = client.build_request(
            "GET", hop, headers={**headers, "Accept-Encoding": "identity"}
        )
        if authorization is not None and _origin(hop) == _origin(first):
            request.headers["Authorization"] = authorization
        response = await client.send(request, stream=True)
        try:
            if not response.has_redirect_location:
                yield response
                return
            hop = _next_hop(url, hop, response.headers["Location"])
        finally:
            await response.aclose()
    raise UrlRefused(url, f"it redirects more than {MAX_REDIRECTS} times")


def _next_hop(url: str, hop: httpx.URL, location: str) -> httpx.URL:
    try:
        joined = hop.join(location).copy_with(userinfo=b"")
    except (httpx.InvalidURL, UnicodeError, ValueError):
        raise UrlRefused(url, "it redirects to a malformed URL") from None
    return parse_url(str(joined))


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port

"""Downloads: one URL into one file of a folder, resumed where the connection breaks.

Bodies are stored as they are sent; compressed ones are neither asked for nor inflated.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO, Self

import httpx

from compute_horde_common.transfer.budget import Budget
from compute_horde_common.transfer.errors import (
    DownloadFailed,
    StorageFailed,
    TransferTimedOut,
    UrlRefused,
)
from compute_horde_common.transfer.guard import AddressGuard, guarded_client, parse_url
from compute_horde_common.transfer.retries import (
    RETRYABLE_STATUSES,
    PassingTroubleError,
    connection_trouble,
    with_retries,
)
from compute_horde_common.transfer.tree import Folder

MAX_REDIRECTS = 5

_OK = 200
_PARTIAL = 206
_BAD_RANGE = 416
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_MAX_LENGTH_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Fetched:
    """A finished download. ``etag`` is the server's, for a cache to compare."""

    size: int
    etag: str | None


class Fetcher:
    """Downloads for one job. Use it as ``async with``; several at once are fine."""

    def __init__(self, guard: AddressGuard) -> None:
        self._client = guarded_client(guard)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.aclose()

    async def fetch(
        self, url: str, into: Folder, path: str, *, budget: Budget, within: float
    ) -> Fetched:
        """Writes the body to the file ``path``, replacing it, within ``within`` seconds.

        Raises ``UrlRefused``, ``AddressRefused``, ``DownloadFailed``, ``BudgetSpent``,
        ``TransferTimedOut``, ``UnsafePath``, ``StorageFailed``. Nothing is left of a failed
        download, and its bytes are back in the budget.
        """
        parse_url(url)
        with into.open_file(path, "wb") as target:
            download = _Download(self._client, url, target, budget)
            try:
                async with asyncio.timeout(within):
                    await download.run()
            except TimeoutError:
                raise TransferTimedOut(url, f"not complete after {within:.0f} s") from None
            finally:
                if not download.complete:
                    download.start_over()
                    into.remove_file(path)
        return Fetched(download.offset, download.etag)


class _Download:
    """One file's way here, over several connections. The file's first ``offset`` bytes are good."""

    def __init__(
        self, client: httpx.AsyncClient, url: str, target: BinaryIO, budget: Budget
    ) -> None:
        self._client = client
        self._url = url
        self._target = target
        self._budget = budget
        self.offset = 0
        self.etag: str | None = None
        self.complete = False
        self._total: int | None = None

    async def run(self) -> None:
        await with_retries(self._attempt)
        self.complete = True

    def start_over(self) -> None:
        """Forgets what has been received."""
        with _storage():
            self._target.seek(0)
            self._target.truncate()
        self._budget.give_back(self.offset)
        self.offset = 0

    async def _attempt(self) -> None:
        try:
            async with self._response() as response:
                await self._receive(response)
        except httpx.HTTPError as failure:
            raise self._passing(connection_trouble(failure)) from None

    @asynccontextmanager
    async def _response(self) -> AsyncIterator[httpx.Response]:
        """The answer at the end of the redirects, each hop judged by the client's guard."""
        url = parse_url(self._url)
        for _ in range(MAX_REDIRECTS + 1):
            request = self._client.build_request("GET", url, headers=self._headers())
            response = await self._client.send(request, stream=True)
            try:
                if not response.has_redirect_location:
                    yield response
                    return
                url = self._next_hop(url, response.headers["Location"])
            finally:
                await response.aclose()
        raise UrlRefused(self._url, f"it redirects more than {MAX_REDIRECTS} times")

    def _next_hop(self, url: httpx.URL, location: str) -> httpx.URL:
        try:
            joined = url.join(location).copy_with(userinfo=b"")
        except (httpx.InvalidURL, UnicodeError, ValueError):
            raise UrlRefused(self._url, "it redirects to a malformed URL") from None
        return parse_url(str(joined))

    def _headers(self) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity"}
        if self.offset:
            headers["Range"] = f"bytes={self.offset}-"
        if self.offset and self.etag is not None and not self.etag.startswith("W/"):
            headers["If-Range"] = self.etag
        return headers

    async def _receive(self, response: httpx.Response) -> None:
        expected = self._expected_size(response)
        if expected is not None:
            self._budget.require(expected - self.offset)
        self._total = expected
        self.etag = response.headers.get("ETag")
        async for chunk in response.aiter_raw():
            self._budget.spend(len(chunk))
            self.offset += len(chunk)
            with _storage():
                self._target.write(chunk)
        if expected is not None and self.offset != expected:
            got = self.offset
            raise self._passing(
                f"{got} bytes came, {expected} were announced", wrong=got > expected
            )

    def _expected_size(self, response: httpx.Response) -> int | None:
        """The whole file's size where the server says it; refuses answers that do not fit."""
        status = response.status_code
        if status == _OK:
            self.start_over()
            return _length(response.headers.get("Content-Length"))
        if status == _PARTIAL and self.offset:
            total = self._continued(response.headers)
            if total is not None:
                return total
            raise self._passing("the server sent another range than asked for", status, wrong=True)
        if status == _BAD_RANGE:
            raise self._passing("the server refuses to resume", status, wrong=True)
        if status in RETRYABLE_STATUSES:
            raise self._passing(f"the server answered {status}", status)
        raise DownloadFailed(self._url, f"the server answered {status}", status)

    def _continued(self, headers: httpx.Headers) -> int | None:
        """The whole size, if this answer goes on where we are and is of the same file."""
        match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
        if match is None or int(match[1]) != self.offset or headers.get("ETag") != self.etag:
            return None
        total = int(match[2]) + 1 if match[3] == "*" else int(match[3])
        return total if self._total in {None, total} else None

    def _passing(
        self, why: str, status: int | None = None, *, wrong: bool = False
    ) -> PassingTroubleError:
        if wrong:
            self.start_over()
        return PassingTroubleError(DownloadFailed(self._url, why, status))


def _length(header: str | None) -> int | None:
    if header is None or not header.isdecimal() or len(header) > _MAX_LENGTH_DIGITS:
        return None
    return int(header)


@contextmanager
def _storage() -> Iterator[None]:
    try:
        yield
    except OSError as failure:
        raise StorageFailed(f"A download cannot be stored: {failure.strerror}") from failure

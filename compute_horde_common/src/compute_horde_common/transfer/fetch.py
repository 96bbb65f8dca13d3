"""Downloads: one URL into one file of a folder, resumed where the connection breaks.

Bodies are stored as they are sent; compressed ones are neither asked for nor inflated. A URL may
say which SHA-256 it wants (see `digests`). What a server vouches for may come out of a cache: it
answers 304 to the kept ETag, or 200 with the kept size where the kept digest is the wanted one.
"""

import asyncio
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import BinaryIO, Self

import httpx

from compute_horde_common.transfer.budget import Budget
from compute_horde_common.transfer.cache import InputCache, Kept, Label
from compute_horde_common.transfer.digests import sha256_of, split_digest
from compute_horde_common.transfer.errors import (
    DownloadFailed,
    StorageFailed,
    TransferTimedOut,
)
from compute_horde_common.transfer.guard import AddressGuard, guarded_client, parse_url
from compute_horde_common.transfer.redirects import followed
from compute_horde_common.transfer.retries import (
    RETRYABLE_STATUSES,
    PassingTroubleError,
    connection_trouble,
    with_retries,
)
from compute_horde_common.transfer.threads import in_thread
from compute_horde_common.transfer.tree import Folder

MAX_PAGE_BYTES = 32 * 1024 * 1024

_OK = 200
_PARTIAL = 206
_NOT_MODIFIED = 304
_BAD_RANGE = 416
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_MAX_LENGTH_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Fetched:
    """A finished download. ``etag`` is the server's; ``sha256`` is there if it was needed."""

    size: int
    etag: str | None
    sha256: str | None = None
    cached: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """An answer that was read into memory."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Fetcher:
    """Downloads for one job. Use it as ``async with``; several at once are fine.

    ``authorization`` is a header's value; it is said to the URL's own origin only.
    """

    def __init__(self, guard: AddressGuard, cache: InputCache | None = None) -> None:
        self._client = guarded_client(guard)
        self._cache = cache

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
        self,
        url: str,
        into: Folder,
        path: str,
        *,
        budget: Budget,
        within: float,
        authorization: str | None = None,
    ) -> Fetched:
        """Writes the body to the file ``path``, replacing it, within ``within`` seconds.

        Raises ``UrlRefused``, ``AddressRefused``, ``DownloadFailed``, ``BudgetSpent``,
        ``TransferTimedOut``, ``UnsafePath``, ``StorageFailed``. Nothing is left of a failed
        download, and its bytes are back in the budget.
        """
        address, wanted = split_digest(url)
        parse_url(address)
        with into.open_file(path, "wb") as target:
            download = _Download(self._client, address, target, budget)
            download.wanted, download.authorization = wanted, authorization
            try:
                async with asyncio.timeout(within):
                    return await self._complete(download, into, path)
            except TimeoutError:
                raise TransferTimedOut(url, f"not complete after {within:.0f} s") from None
            finally:
                if not download.complete:
                    download.start_over()
                    into.remove_file(path)

    async def read(self, url: str, *, within: float, authorization: str | None = None) -> Page:
        """A small answer, whatever its status, unless a later try may bring a better one.

        Raises ``UrlRefused``, ``AddressRefused``, ``DownloadFailed``, ``TransferTimedOut``.
        """
        try:
            async with asyncio.timeout(within):
                return await with_retries(lambda: self._page(url, authorization))
        except TimeoutError:
            raise TransferTimedOut(url, f"not complete after {within:.0f} s") from None

    async def _complete(self, download: "_Download", into: Folder, path: str) -> Fetched:
        with ExitStack() as stack:
            if self._cache is not None:
                cache = self._cache
                kept = await in_thread(lambda stop: cache.find(download.url, stop))
                download.kept = stack.enter_context(closing(kept)) if kept else None
            fetched = await download.run()
        if fetched.sha256 is None and (self._cache is not None or download.wanted is not None):
            fetched = await in_thread(lambda stop: _identified(fetched, into, path, stop))
        if download.wanted not in {None, fetched.sha256}:
            raise DownloadFailed(
                download.url,
                f"its SHA-256 is {fetched.sha256}, not {download.wanted} as the job wants;"
                " correct the digest or the file",
            )
        if not fetched.cached and download.may_be_kept:
            await in_thread(lambda stop: self._keep(download.url, fetched, into, path, stop))
        download.complete = True
        return fetched

    def _keep(
        self, url: str, fetched: Fetched, into: Folder, path: str, stop: threading.Event
    ) -> None:
        if self._cache is None or fetched.sha256 is None:
            return
        label = Label(_strong(fetched.etag), fetched.sha256, fetched.size)
        with into.open_file(path) as file:
            self._cache.store(url, file, label, stop)

    async def _page(self, url: str, authorization: str | None) -> Page:
        try:
            async with followed(self._client, url, {}, authorization) as response:
                status = response.status_code
                if status in RETRYABLE_STATUSES:
                    raise _passing(url, f"the server answered {status}", status)
                return Page(status, dict(response.headers), await _small_body(url, response))
        except httpx.HTTPError as failure:
            raise _passing(url, connection_trouble(failure)) from None


async def _small_body(url: str, response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_PAGE_BYTES:
            raise DownloadFailed(url, f"the answer is longer than {MAX_PAGE_BYTES} bytes")
    return bytes(body)


class _Download:
    """One file's way here, over several connections. The file's first ``offset`` bytes are good."""

    def __init__(
        self, client: httpx.AsyncClient, url: str, target: BinaryIO, budget: Budget
    ) -> None:
        self.url = url
        self.wanted: str | None = None
        self.authorization: str | None = None
        self.kept: Kept | None = None
        self.complete = False
        self.may_be_kept = False
        self._client = client
        self._target = target
        self._budget = budget
        self._offset = 0
        self._etag: str | None = None
        self._total: int | None = None

    async def run(self) -> Fetched:
        """What has been received; every byte of it is in the file."""
        fetched = await with_retries(self._attempt)
        with _storage():
            self._target.flush()
        return fetched

    def start_over(self) -> None:
        """Forgets what has been received."""
        with _storage():
            self._target.seek(0)
            self._target.truncate()
        self._budget.give_back(self._offset)
        self._offset = 0

    async def _attempt(self) -> Fetched:
        try:
            async with followed(
                self._client, self.url, self._headers(), self.authorization
            ) as response:
                if self.kept is not None and self._vouched(self.kept.label, response):
                    return await self._take(self.kept, response)
                await self._receive(response)
        except httpx.HTTPError as failure:
            raise self._passing(connection_trouble(failure)) from None
        return Fetched(self._offset, self._etag)

    def _headers(self) -> dict[str, str]:
        if not self._offset:
            etag = self.kept.label.etag if self.kept is not None else None
            return {"If-None-Match": etag} if etag is not None else {}
        headers = {"Range": f"bytes={self._offset}-"}
        if etag := _strong(self._etag):
            headers["If-Range"] = etag
        return headers

    def _vouched(self, label: Label, response: httpx.Response) -> bool:
        """Whether the server said that its body would be what is kept."""
        if response.status_code == _OK and self.wanted == label.sha256:
            return _length(response.headers.get("Content-Length")) == label.size
        return response.status_code == _NOT_MODIFIED and not self._offset

    async def _take(self, kept: Kept, response: httpx.Response) -> Fetched:
        self.start_over()
        self._budget.spend(kept.label.size)
        self._offset = kept.label.size
        try:
            await in_thread(lambda stop: kept.copy_to(self._target, stop))
        except OSError:
            self.kept = None
            raise self._passing("the kept copy cannot be read", wrong=True) from None
        etag = response.headers.get("ETag", kept.label.etag)
        return Fetched(kept.label.size, etag, kept.label.sha256, cached=True)

    async def _receive(self, response: httpx.Response) -> None:
        expected = self._expected_size(response)
        if expected is not None:
            self._budget.require(expected - self._offset)
        self._total = expected
        self._etag = response.headers.get("ETag")
        identified = _strong(self._etag) is not None or self.wanted is not None
        self.may_be_kept = identified and "no-store" not in response.headers.get(
            "Cache-Control", ""
        )
        async for chunk in response.aiter_raw():
            self._budget.spend(len(chunk))
            self._offset += len(chunk)
            with _storage():
                self._target.write(chunk)
        if expected is not None and self._offset != expected:
            got = self._offset
            raise self._passing(
                f"{got} bytes came, {expected} were announced", wrong=got > expected
            )

    def _expected_size(self, response: httpx.Response) -> int | None:
        """The whole file's size where the server says it; refuses answers that do not fit."""
        status = response.status_code
        if status == _OK:
            self.start_over()
            return _length(response.headers.get("Content-Length"))
        if status == _PARTIAL and self._offset:
            total = self._continued(response.headers)
            if total is not None:
                return total
            raise self._passing("the server sent another range than asked for", status, wrong=True)
        if status == _BAD_RANGE:
            raise self._passing("the server refuses to resume", status, wrong=True)
        if status in RETRYABLE_STATUSES:
            raise self._passing(f"the server answered {status}", status)
        raise DownloadFailed(self.url, f"the server answered {status}", status)

    def _continued(self, headers: httpx.Headers) -> int | None:
        """The whole size, if this answer goes on where we are and is of the same file."""
        match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
        if match is None or int(match[1]) != self._offset or headers.get("ETag") != self._etag:
            return None
        total = int(match[2]) + 1 if match[3] == "*" else int(match[3])
        return total if self._total in {None, total} else None

    def _passing(
        self, why: str, status: int | None = None, *, wrong: bool = False
    ) -> PassingTroubleError:
        if wrong:
            self.start_over()
        return _passing(self.url, why, status)


def _passing(url: str, why: str, status: int | None = None) -> PassingTroubleError:
    return PassingTroubleError(DownloadFailed(url, why, status))


def _identified(fetched: Fetched, into: Folder, path: str, stop: threading.Event) -> Fetched:
    with _storage(), into.open_file(path) as file:
        return replace(fetched, sha256=sha256_of(file, stop))


def _strong(etag: str | None) -> str | None:
    return None if not etag or etag.startswith("W/") else etag


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

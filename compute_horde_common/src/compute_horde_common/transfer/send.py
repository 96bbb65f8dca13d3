"""Uploads: one file of a folder to one URL, streamed from disk, its size said beforehand.

No redirects: a presigned URL is meant as it is written, and a body is not offered twice.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO, Self

import httpx

from compute_horde_common.transfer.errors import TransferTimedOut, UploadFailed
from compute_horde_common.transfer.guard import AddressGuard, guarded_client, parse_url
from compute_horde_common.transfer.retries import (
    RETRYABLE_STATUSES,
    PassingTroubleError,
    connection_trouble,
    with_retries,
)
from compute_horde_common.transfer.tree import Folder

MAX_BODY_BYTES = 64 * 1024
MAX_HEADERS = 64
MAX_HEADER_CHARACTERS = 16 * 1024

_CHUNK_BYTES = 1024 * 1024
# How the message is framed and where it goes is ours to say.
_OUR_HEADERS = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


@dataclass(frozen=True, slots=True)
class UploadResult:
    """What the server answered. ``truncated`` means that only the beginning of its body is kept."""

    headers: dict[str, str]
    body: str
    truncated: bool = False


class Sender:
    """Uploads for one job. Use it as ``async with``; several at once are fine.

    Both verbs raise ``UrlRefused``, ``AddressRefused``, ``UploadFailed``, ``TransferTimedOut``,
    ``UnsafePath``, ``MissingFile``. ``headers`` are the user's signed ones; those that frame the
    message (Host, Content-Length and the like) are left to us. ``within`` is in seconds.
    """

    def __init__(self, guard: AddressGuard, *, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self._client = guarded_client(guard)
        self._max_body_bytes = max_body_bytes

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.aclose()

    async def put(
        self,
        url: str,
        folder: Folder,
        path: str,
        *,
        within: float,
        headers: Mapping[str, str] | None = None,
    ) -> UploadResult:
        """The file as the body of a PUT."""
        with folder.open_file(path) as source:
            parcel = _Parcel("PUT", url, source, _allowed(headers))
            return await self._deliver(parcel, within)

    async def post(
        self,
        url: str,
        folder: Folder,
        path: str,
        *,
        within: float,
        form_fields: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> UploadResult:
        """A multipart form: the fields in their order, then the file as the part ``file``."""
        boundary = secrets.token_hex(16)
        sent = {
            name: value for name, value in _allowed(headers).items() if name != "content-type"
        } | {"content-type": f"multipart/form-data; boundary={boundary}"}
        before = _form_start(boundary, form_fields or {}, path.rpartition("/")[2])
        after = f"\r\n--{boundary}--\r\n".encode()
        with folder.open_file(path) as source:
            parcel = _Parcel("POST", url, source, sent, before, after)
            return await self._deliver(parcel, within)

    async def _deliver(self, parcel: "_Parcel", within: float) -> UploadResult:
        parse_url(parcel.url)
        try:
            async with asyncio.timeout(within):
                return await with_retries(lambda: self._attempt(parcel))
        except TimeoutError:
            raise TransferTimedOut(parcel.url, f"not complete after {within:.0f} s") from None

    async def _attempt(self, parcel: "_Parcel") -> UploadResult:
        try:
            request = self._client.build_request(
                parcel.method,
                parse_url(parcel.url),
                headers={**parcel.headers, "content-length": str(parcel.size)},
                content=parcel.body(),
            )
            response = await self._client.send(request, stream=True)
            try:
                return await self._result(parcel.url, response)
            finally:
                await response.aclose()
        except httpx.LocalProtocolError:
            raise UploadFailed(parcel.url, "its headers are no valid HTTP headers") from None
        except httpx.HTTPError as failure:
            why = connection_trouble(failure)
            raise PassingTroubleError(UploadFailed(parcel.url, why)) from None

    async def _result(self, url: str, response: httpx.Response) -> UploadResult:
        status = response.status_code
        if not response.is_success:
            failed = UploadFailed(url, f"the server answered {status}", status)
            raise PassingTroubleError(failed) if status in RETRYABLE_STATUSES else failed
        body, truncated = await _beginning(response, self._max_body_bytes)
        return UploadResult(_kept(response.headers), body.decode(errors="replace"), truncated)


@dataclass(frozen=True, slots=True)
class _Parcel:
    method: str
    url: str
    source: BinaryIO
    headers: Mapping[str, str]
    before: bytes = b""
    after: bytes = b""

    @property
    def size(self) -> int:
        return len(self.before) + self._file_size() + len(self.after)

    async def body(self) -> AsyncIterator[bytes]:
        """All of it from the start, anew at every try; as many bytes as ``size`` says."""
        if self.before:
            yield self.before
        left = self._file_size()
        self.source.seek(0)
        while left:
            chunk = self.source.read(min(left, _CHUNK_BYTES))
            if not chunk:
                raise UploadFailed(self.url, "the file shrank while it was sent")
            left -= len(chunk)
            yield chunk
        if self.after:
            yield self.after

    def _file_size(self) -> int:
        return os.fstat(self.source.fileno()).st_size


def _allowed(headers: Mapping[str, str] | None) -> dict[str, str]:
    return {
        name.lower(): value
        for name, value in (headers or {}).items()
        if name.strip().lower() not in _OUR_HEADERS
    }


def _kept(headers: httpx.Headers) -> dict[str, str]:
    """The first of the answer's headers, as many as are worth passing on."""
    kept: dict[str, str] = {}
    left = MAX_HEADER_CHARACTERS
    for name, value in list(headers.items())[:MAX_HEADERS]:
        left -= len(name) + len(value)
        if left >= 0:
            kept[name] = value
    return kept


def _form_start(boundary: str, fields: Mapping[str, str], filename: str) -> bytes:
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    parts.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; '
        f'filename="{_quoted(filename)}"\r\nContent-Type: application/octet-stream\r\n\r\n'
    )
    return "".join(parts).encode()


def _quoted(name: str) -> str:
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


async def _beginning(response: httpx.Response, limit: int) -> tuple[bytes, bool]:
    """The first bytes of the body, not inflated, and whether there are more."""
    kept = bytearray()
    async for chunk in response.aiter_raw():
        kept += chunk
        if len(kept) > limit:
            return bytes(kept[:limit]), True
    return bytes(kept), False

"""Files in and out, with nothing but the standard library."""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import http.client
import io
import json
import os
import secrets
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

TRIES = 3
WAIT_SECONDS = 1.0
BLOCK = 1 << 16
SOCKET_SECONDS = 60
MOST_INPUT_BYTES = 2 << 30
CONTENT_TYPE = "content-type"
MOST_ANSWER_BYTES = 1 << 16
HUB = "https://huggingface.co"


class TransferFailed(Exception):
    """An input did not come, or an output was not taken."""


class Budget:
    """Bytes that all inputs of a job may have together."""

    def __init__(self, left: int) -> None:
        self.left = left

    def spend(self, count: int) -> None:
        """Takes some of it."""
        self.left -= count
        if self.left < 0:
            raise TransferFailed(f"the inputs have more than {MOST_INPUT_BYTES} bytes")


def fetch_volume(volume: dict[str, Any], root: str, deadline: float, budget: Budget) -> None:
    """Brings one input below ``root``."""
    path = inside(root, volume.get("relative_path") or "")
    kind = volume["volume_type"]
    if kind == "inline":
        unzip(base64.b64decode(volume["contents"]), path, budget)
    elif kind == "zip_url":
        unzip(b"".join(download(volume["contents"], deadline, budget)), path, budget)
    elif kind == "single_file":
        save(volume["url"], path, deadline, budget)
    elif kind == "huggingface_volume":
        fetch_repository(volume, path, deadline, budget)
    else:
        raise TransferFailed(f"there are no volumes of the type {kind!r} here")


def inside(root: str, relative: str) -> str:
    """A path below ``root``."""
    path = os.path.normpath(os.path.join(root, relative))
    if path != root and not path.startswith(root.rstrip("/") + "/"):
        raise TransferFailed(f"{relative!r} leads out of {root}")
    return path


def unzip(content: bytes, folder: str, budget: Budget) -> None:
    """Unpacks a zip into a folder; links become plain files."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except zipfile.BadZipFile:
        raise TransferFailed("the inline volume is no zip") from None
    os.makedirs(folder, exist_ok=True)
    with archive:
        for member in archive.infolist():
            budget.spend(member.file_size)
            path = inside(folder, member.filename)
            if member.is_dir():
                os.makedirs(path, exist_ok=True)
                continue
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(_unpacked(archive, member))
            os.chmod(path, 0o755 if (member.external_attr >> 16) & 0o111 else 0o644)


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    try:
        return archive.read(member)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError) as error:
        raise TransferFailed(f"{member.filename!r} cannot be unpacked: {error}") from None


def save(
    url: str,
    path: str,
    deadline: float,
    budget: Budget,
    headers: dict[str, str] | None = None,
) -> None:
    """Stores what is behind a URL, and checks its digest if the URL names one."""
    address, _, fragment = url.partition("#sha256=")
    digest = hashlib.sha256()
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".part", "wb") as file:
        for block in download(address, deadline, budget, headers):
            digest.update(block)
            file.write(block)
    if fragment and digest.hexdigest() != fragment.lower():
        os.unlink(path + ".part")
        raise TransferFailed(f"{shown(address)} has another SHA-256 than it should")
    os.replace(path + ".part", path)


def download(
    url: str, deadline: float, budget: Budget, headers: dict[str, str] | None = None
) -> Iterator[bytes]:
    """The blocks behind a URL. A download that breaks off is gone on with; where the server cannot,
    it is begun again, and what was there already is passed over."""
    got, tries = 0, 0
    while True:
        reason = ""
        try:
            for block in _answered(url, got, deadline, headers):
                got += len(block)
                budget.spend(len(block))
                yield block
        except _HopelessAnswer as error:
            raise TransferFailed(f"{shown(url)} cannot be fetched: {error}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = str(error) or type(error).__name__
        if not reason:
            return
        left(deadline)
        tries += 1
        if tries >= TRIES:
            raise TransferFailed(f"{shown(url)} cannot be fetched: {reason}")
        time.sleep(min(WAIT_SECONDS * 4 ** (tries - 1), left(deadline)))


class _HopelessAnswer(Exception):
    """The server will answer the same the next time."""


def _answered(
    url: str, got: int, deadline: float, headers: dict[str, str] | None
) -> Iterator[bytes]:
    """What follows the bytes that are there."""
    request = urllib.request.Request(url)
    for name, value in (headers or {}).items():
        # Said to this server only: the hub sends its callers on to the stores of others.
        request.add_unredirected_header(name, value)
    if got:
        request.add_header("Range", f"bytes={got}-")
    try:
        answer = urllib.request.urlopen(request, timeout=left(deadline))
    except urllib.error.HTTPError as error:
        told = f"the server answered {error.code}"
        passing = error.code >= 500 or error.code in (408, 429)
        raise (OSError(told) if passing else _HopelessAnswer(told)) from None
    with answer:
        skipped = 0 if answer.status == 206 else got
        missing = int(answer.headers.get("Content-Length") or 0)
        for block in _blocks(answer, deadline):
            missing -= len(block)
            fresh = block[min(skipped, len(block)) :]
            skipped -= len(block) - len(fresh)
            yield fresh
        if missing > 0:
            raise OSError(f"the connection broke off, {missing} bytes early")


def _blocks(answer: Any, deadline: float) -> Iterator[bytes]:
    while True:
        left(deadline)
        # What is there already: to wait for a whole block may take longer than the job may.
        block = answer.read1(BLOCK)
        if not block:
            return
        yield block


def fetch_repository(volume: dict[str, Any], folder: str, deadline: float, budget: Budget) -> None:
    """The files of a Hugging Face repository at one commit."""
    hub = os.environ.get("HF_ENDPOINT", HUB).rstrip("/")
    token = volume.get("token") or os.environ.get("HF_TOKEN")
    headers = {"Authorization": "Bearer " + token} if token else {}
    kind = volume.get("repo_type") or "model"
    name, revision = volume["repo_id"], volume.get("revision")
    api = f"{hub}/api/{kind}s/{name}"
    if revision:
        api += f"/revision/{urllib.parse.quote(revision, safe='')}"
    said = json.loads(b"".join(download(api, deadline, Budget(MOST_INPUT_BYTES), headers)))
    patterns = volume.get("allow_patterns")
    patterns = [patterns] if isinstance(patterns, str) else patterns
    prefix = "" if kind == "model" else kind + "s/"
    for file in said.get("siblings", []):
        path = file["rfilename"]
        if patterns is None or any(is_allowed(path, pattern) for pattern in patterns):
            place = f"{prefix}{name}/resolve/{said['sha']}/{urllib.parse.quote(path)}"
            address = f"{hub}/{place}"
            save(address, inside(folder, path), deadline, budget, headers)


def is_allowed(path: str, pattern: str) -> bool:
    """As the hub's own client reads patterns: a folder stands for all below it."""
    return fnmatch.fnmatchcase(path, pattern + "*" if pattern.endswith("/") else pattern)


def send(upload: dict[str, Any], root: str, deadline: float) -> dict[str, Any]:
    """Sends one output; returns the answer's headers and body."""
    path = inside(root, upload["relative_path"])
    if os.path.islink(path) or not os.path.isfile(path):
        raise TransferFailed(f"there is no file /output/{upload['relative_path']}")
    reason = ""
    for tries in range(1, TRIES + 1):
        try:
            return _send_once(upload, path, deadline)
        except urllib.error.HTTPError as error:
            reason = f"the server answered {error.code}"
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
        most = left(deadline)
        if tries < TRIES:
            time.sleep(min(WAIT_SECONDS * tries, most))
    raise TransferFailed(f"/output/{upload['relative_path']} was not taken: {reason}")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """An output goes where its author said, and nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        """None: the answer is a refusal."""


class _AsSigned(urllib.request.BaseHandler):
    """Takes away the type that urllib adds to what has none: it is not part of the signature."""

    handler_order = 900

    def http_request(self, request: urllib.request.Request) -> urllib.request.Request:
        """The request as its author wanted it."""
        request.unredirected_hdrs.pop("Content-type", None)
        return request

    https_request = http_request


def _send_once(upload: dict[str, Any], path: str, deadline: float) -> dict[str, Any]:
    headers = dict(upload.get("signed_headers") or {})
    before = after = b""
    if upload["output_upload_type"] == "single_file_post":
        border = secrets.token_hex(16)
        before, after = _form(upload.get("form_fields") or {}, os.path.basename(path), border)
        headers = {name: text for name, text in headers.items() if name.lower() != CONTENT_TYPE}
        headers["Content-Type"] = "multipart/form-data; boundary=" + border
    method = "POST" if before else "PUT"
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        headers["Content-Length"] = str(len(before) + size + len(after))
        body = _joined(before, file, after, deadline)
        request = urllib.request.Request(upload["url"], body, headers, method=method)
        opener = urllib.request.build_opener(_NoRedirects, _AsSigned)
        with opener.open(request, timeout=left(deadline)) as answer:
            text = _start_of(answer, deadline).decode("utf-8", "replace")
            return {"headers": dict(answer.headers.items()), "body": text}


def _start_of(answer: Any, deadline: float) -> bytes:
    """As much of an answer as is kept."""
    body = b""
    for block in _blocks(answer, deadline):
        body += block
        if len(body) >= MOST_ANSWER_BYTES:
            break
    return body[:MOST_ANSWER_BYTES]


def _joined(before: bytes, file: Any, after: bytes, deadline: float) -> Iterator[bytes]:
    yield before
    while True:
        left(deadline)
        block = file.read(BLOCK)
        if not block:
            break
        yield block
    yield after


def _form(fields: dict[str, str], name: str, border: str) -> tuple[bytes, bytes]:
    """What stands before and after the file of a form."""
    parts = [
        f'--{border}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
        for key, value in fields.items()
    ]
    parts.append(
        f'--{border}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return "".join(parts).encode(), f"\r\n--{border}--\r\n".encode()


def left(deadline: float) -> float:
    """Seconds until the deadline, as a socket's limit."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("the time limit is over")
    return min(seconds, SOCKET_SECONDS)


def shown(url: str) -> str:
    """A URL without its query, which may hold a signature."""
    return url.partition("?")[0][:200]

"""SHA-256 of files; and a URL that says which one it wants, in its fragment.

``https://host/path#sha256=<64 hexadecimal digits>``: a fragment passes through every peer as part
of the URL and is never sent to the server.
"""

import hashlib
import re
import threading
from typing import BinaryIO

from compute_horde_common.transfer.errors import UrlRefused

_CHUNK_BYTES = 1024 * 1024
_WANTED = re.compile(r"sha256=([0-9a-fA-F]{64})")


def split_digest(url: str) -> tuple[str, str | None]:
    """The URL without its fragment, and the digest that it wants. Raises ``UrlRefused``."""
    address, _, fragment = url.partition("#")
    if not fragment.lower().startswith("sha256"):
        return address, None
    match = _WANTED.fullmatch(fragment)
    if match is None:
        raise UrlRefused(url, "its fragment must be #sha256= and 64 hexadecimal digits")
    return address, match[1].lower()


def sha256_of(file: BinaryIO, stop: threading.Event) -> str:
    """The digest of the rest of the file, in hexadecimal; of a part of it when stopped."""
    digest = hashlib.sha256()
    while not stop.is_set() and (chunk := file.read(_CHUNK_BYTES)):
        digest.update(chunk)
    return digest.hexdigest()

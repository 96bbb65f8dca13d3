"""Everything that can go wrong between a job and the outside.

    TransferError
    ├── UnsafePath        a path that would leave its folder, or something that is no plain file
    ├── MissingFile       a file that was asked for and is not there
    ├── StorageFailed     the local disk refused
    ├── BudgetSpent       more bytes than the whole job may have
    ├── TooManyEntries    more files and folders than the whole job may have
    ├── ArchiveRefused    an archive that is broken, forbidden or a bomb
    ├── HubRefused        a repository of a hub that cannot be had
    └── WebError          anything said to or heard from a web server
        ├── UrlRefused        not a usable http(s) address
        ├── AddressRefused    a host the job may not speak to
        ├── DownloadFailed    the server or the connection failed
        ├── UploadFailed      likewise, on the way out
        └── TransferTimedOut  the caller's deadline passed

URLs in these errors have lost their credentials, query and fragment: presigned ones are secrets.
"""

from urllib.parse import urlsplit


class TransferError(Exception):
    """The one to catch."""


class UnsafePath(TransferError):
    """``path`` was refused because of ``why``; nothing was opened."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"Path {path[:200]!r} is refused: {why}.")
        self.path = path
        self.why = why


class MissingFile(TransferError):
    """There is nothing at ``path``."""

    def __init__(self, path: str) -> None:
        super().__init__(f"There is no file {path[:200]!r}.")
        self.path = path


class StorageFailed(TransferError):
    """The disk under a job's folder failed or is full."""


class BudgetSpent(TransferError):
    """The job's inputs are larger than ``limit`` bytes in all."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The job's data is larger than the {limit} bytes it may have in all.")
        self.limit = limit


class TooManyEntries(TransferError):
    """The job's inputs have more than ``limit`` files and folders in all."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"The job's inputs have more than the {limit} files and folders they may have in all."
            " Send fewer, e.g. as one file that the job itself unpacks."
        )
        self.limit = limit


class HubRefused(TransferError):
    """The message names the repository and says what to do about it."""


class ArchiveRefused(TransferError):
    """The archive is not unpacked any further; what is already unpacked stays."""


class WebError(TransferError):
    """Something about one URL; ``url`` is fit to be shown and logged."""

    def __init__(self, url: str, why: str) -> None:
        self.url = without_secrets(url)
        super().__init__(f"{self.url}: {why}")
        self.why = why


class UrlRefused(WebError):
    """Not an http or https URL with a host, or a chain of redirects without end."""


class AddressRefused(WebError):
    """The host is, or resolves to, an address that jobs may not reach."""


class DownloadFailed(WebError):
    """``status`` is the server's last answer, or None if there was none."""

    def __init__(self, url: str, why: str, status: int | None = None) -> None:
        super().__init__(url, why)
        self.status = status


class UploadFailed(WebError):
    """``status`` is the server's last answer, or None if there was none."""

    def __init__(self, url: str, why: str, status: int | None = None) -> None:
        super().__init__(url, why)
        self.status = status


class TransferTimedOut(WebError):
    """The time that the caller gave is over."""


def without_secrets(url: str) -> str:
    """Scheme, host, port and path of a URL; never credentials, query or fragment."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        host = parts.hostname or ""
    except ValueError:
        return "(a malformed URL)"
    if not parts.scheme or not host:
        return "(a malformed URL)"
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{port}{parts.path}"[:500]

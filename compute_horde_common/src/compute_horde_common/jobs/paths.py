"""What a path or URL in a job may look like; the first fence, before any file is touched."""

from urllib.parse import urlsplit

MAX_COMPONENT_BYTES = 255
MAX_URL_LENGTH = 8192


def safe_relative_path(path: str) -> str:
    """``path`` if it stays below its folder, whatever the folder is.

    ``""`` and a trailing slash name the folder itself and are allowed for input folders.

    Raises:
        ValueError: absolute, or with ``..``, NUL, backslash or an over-long component.
    """
    if path.startswith("/"):
        raise ValueError(f"path {path[:100]!r} is absolute; it must be relative")
    for part in path.split("/"):
        if part == "..":
            raise ValueError(f"path {path[:100]!r} leaves its folder with '..'")
        _check_component(path, part)
    return path


def canonical_relative_path(path: str) -> str:
    """``path`` if it is the one canonical spelling of a file below a folder.

    Raises:
        ValueError: empty, absolute, with empty, ``.`` or ``..`` components, NUL or backslash.
    """
    if not path:
        raise ValueError("path is empty; name a file below /output/")
    for part in path.split("/"):
        if part in {"", ".", ".."}:
            raise ValueError(f"path {path[:100]!r} has an empty, '.' or '..' component")
        _check_component(path, part)
    return path


def absolute_directory(path: str) -> str:
    """``path`` if it is an absolute directory below ``/``, for use inside a container.

    Raises:
        ValueError: relative, the root itself, or with ``..`` or NUL.
    """
    if not path.startswith("/"):
        raise ValueError(f"directory {path[:100]!r} is not absolute, e.g. /artifacts")
    parts = [part for part in path.split("/") if part]
    if not parts:
        raise ValueError("the root directory cannot be used here, choose e.g. /artifacts")
    for part in parts:
        if part in {".", ".."}:
            raise ValueError(f"directory {path[:100]!r} has a '.' or '..' component")
        _check_component(path, part)
    if ":" in path:
        raise ValueError(f"directory {path[:100]!r} has a colon")
    return path


def web_url(url: str) -> str:
    """``url`` if it is an http or https URL with a host.

    Raises:
        ValueError: another scheme, no host, control characters, or too long.
    """
    if len(url) > MAX_URL_LENGTH:
        raise ValueError(f"URL is longer than {MAX_URL_LENGTH} characters")
    if any(character <= " " or character == "\x7f" for character in url):
        raise ValueError("URL has spaces or control characters; percent-encode them")
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"URL is malformed: {error}") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise ValueError("URL must start with http:// or https:// and name a host")
    return url


def _check_component(path: str, part: str) -> None:
    if "\0" in part or "\\" in part:
        raise ValueError(f"path {path[:100]!r} has a NUL or a backslash")
    if len(part.encode("utf-8", "surrogatepass")) > MAX_COMPONENT_BYTES:
        raise ValueError(f"path has a component longer than {MAX_COMPONENT_BYTES} bytes")

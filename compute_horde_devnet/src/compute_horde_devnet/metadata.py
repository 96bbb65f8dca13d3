"""The live chain's metadata, taken from the source distribution of the locked bittensor release.

The wheel leaves its test fixtures out, so the sdist is fetched once, by name, through pip. Only
bytes whose sha256 is pinned here are ever used.
"""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

PINNED = {"11.3.0": "3a61f5107a9404aa3871aa24eb063b23961567f1133ed8d02f06cd9bd82eefc2"}
"""sha256 of the metadata (SCALE ``Option<OpaqueMetadata>``, V15) by release of bittensor."""

FIXTURE = "tests/fixtures/golden.json"
LARGEST_FIXTURE = 64 << 20
FETCH_SECONDS = 300
LINES_SHOWN = 3


class MetadataUnavailable(Exception):
    """The metadata is neither cached nor can it be fetched; the text says what to do."""


def load_metadata() -> bytes:
    """The metadata, from the cache or fetched into it.

    Raises:
        MetadataUnavailable: there is no way to get it, or it is not what is pinned.
    """
    release = version("bittensor")
    expected = PINNED.get(release)
    if expected is None:
        raise MetadataUnavailable(
            f"bittensor {release} is installed, and the devnet knows the metadata of"
            f" {', '.join(PINNED)} only. Install the locked release (uv sync), or pin the new one"
            f" in {__file__} after comparing the pallet rules."
        )
    path = cache_directory() / f"bittensor-{release}-metadata.bin"
    if path.is_file():
        cached = path.read_bytes()
        if hashlib.sha256(cached).hexdigest() == expected:
            return cached
    fetched = _fetch(release)
    found = hashlib.sha256(fetched).hexdigest()
    if found != expected:
        raise MetadataUnavailable(
            f"The sdist of bittensor {release} carries metadata with sha256 {found} where"
            f" {expected} is pinned. Something between here and the package index changes files;"
            " the devnet node does not start with metadata it cannot trust."
        )
    _store(path, fetched)
    return fetched


def cache_directory() -> Path:
    """``$COMPUTE_HORDE_CACHE``, or ``compute-horde`` in the user's cache folder."""
    given = os.environ.get("COMPUTE_HORDE_CACHE")
    if given:
        return Path(given)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "compute-horde"


def _fetch(release: str) -> bytes:
    attempts: list[str] = []
    with tempfile.TemporaryDirectory(prefix="compute-horde-metadata-") as folder:
        for pip in _pips():
            complaint = _download(pip, release, Path(folder))
            archive = next(Path(folder).glob("*.tar.gz"), None)
            if archive is not None:
                return _metadata_in(archive)
            attempts.append(f"{' '.join(pip)}: {complaint}")
    raise MetadataUnavailable(
        f"The devnet chain needs the metadata that the source distribution of bittensor {release}"
        " carries, and could not download it. It is fetched once (1.4 MB) through pip from the"
        " configured package index and kept in"
        f" {cache_directory()}. Check the network or the index's settings and start again."
        f" Tried: {'; '.join(attempts) or 'no pip was found; install pip or uv'}."
    )


def _pips() -> Iterator[list[str]]:
    """Ways to call pip. A virtual environment made by uv has none of its own."""
    if importlib.util.find_spec("pip"):
        yield [sys.executable, "-m", "pip"]
    for name in ("pip3", "pip"):
        found = shutil.which(name)
        if found:
            yield [found]
    uv = os.environ.get("UV") or shutil.which("uv") or shutil.which("uv", path=_user_programs())
    if uv:
        yield [uv, "tool", "run", "--python", sys.executable, "pip"]


def _user_programs() -> str:
    return os.pathsep.join(str(Path.home() / part) for part in (".local/bin", ".cargo/bin"))


def _download(pip: list[str], release: str, folder: Path) -> str:
    """Runs ``pip download``; returns what it complained about."""
    command = [*pip, "download", "--quiet", "--no-deps", "--no-binary", "bittensor"]
    command += ["--dest", str(folder), f"bittensor=={release}"]
    try:
        done = subprocess.run(  # noqa: S603 - a program found on this machine, arguments our own
            command, check=False, capture_output=True, text=True, timeout=FETCH_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return " / ".join(done.stderr.strip().splitlines()[-LINES_SHOWN:])


def _metadata_in(archive: Path) -> bytes:
    try:
        with tarfile.open(archive) as tar:
            member = next(member for member in tar if member.name.endswith(FIXTURE))
            file = tar.extractfile(member)
            if file is None or member.size > LARGEST_FIXTURE:
                raise MetadataUnavailable(f"{FIXTURE} in {archive.name} is no usable file.")
            golden = json.load(file)
        return bytes.fromhex(golden["metadata"]["v15_hex"].removeprefix("0x"))
    except (tarfile.TarError, StopIteration, LookupError, ValueError, AttributeError) as error:
        raise MetadataUnavailable(
            f"{archive.name} does not carry the expected {FIXTURE} ({error!r}). The devnet chain"
            " cannot start without it."
        ) from error


def _store(path: Path, data: bytes) -> None:
    """Several processes may do this at once: the last one wins, nobody sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(data)
    Path(file.name).replace(path)

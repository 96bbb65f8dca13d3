import hashlib
import os
from importlib.metadata import version
from pathlib import Path

import pytest

from compute_horde_devnet import metadata
from compute_horde_devnet.metadata import PINNED, MetadataUnavailable, load_metadata

RELEASE = version("bittensor")
COMPLAINS = "#!/bin/sh\necho 'no such index' >&2\nexit 1\n"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COMPUTE_HORDE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / f"bittensor-{RELEASE}-metadata.bin"


@pytest.fixture
def only_a_broken_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("pip", "pip3", "uv"):
        (programs / name).write_text(COMPLAINS)
        (programs / name).chmod(0o700)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}/bin")
    monkeypatch.setenv("UV", str(programs / "uv"))


def test_the_installed_release_is_pinned() -> None:
    assert RELEASE in PINNED


def test_the_metadata_is_what_is_pinned() -> None:
    assert hashlib.sha256(load_metadata()).hexdigest() == PINNED[RELEASE]


@pytest.mark.usefixtures("only_a_broken_pip")
def test_what_is_cached_is_not_fetched(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.parent.mkdir()
    cache.write_bytes(b"known")
    monkeypatch.setitem(metadata.PINNED, RELEASE, hashlib.sha256(b"known").hexdigest())

    assert load_metadata() == b"known"


@pytest.mark.usefixtures("only_a_broken_pip")
def test_a_damaged_cache_is_not_used(cache: Path) -> None:
    cache.parent.mkdir()
    cache.write_bytes(b"damaged")

    with pytest.raises(MetadataUnavailable):
        load_metadata()


@pytest.mark.usefixtures("cache", "only_a_broken_pip")
def test_a_failed_fetch_says_what_was_tried() -> None:
    with pytest.raises(MetadataUnavailable, match="no such index"):
        load_metadata()

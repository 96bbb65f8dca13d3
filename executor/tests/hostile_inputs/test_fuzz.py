"""No name and no bytes bring anything out of the folder, or fail in a way without a name."""

import asyncio
import base64
import io
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute_horde_common.jobs.failures import JobFailed, JobFailureReason
from compute_horde_common.jobs.volumes import InlineVolume, SimpleVolume, SingleFileVolume
from compute_horde_common.transfer.errors import TransferError
from compute_horde_common.transfer.tree import components_of
from tests.filling import Filling, inline, zipped

GOOD = zipped(("a.txt", b"hello" * 9), ("sub/b.bin", bytes(50)), ("sub/empty/", b""))
PARTS = st.sampled_from(
    ["a", "..", ".", "", "/", "\\", "\0", "\u202e", "é", "\ud800", "x" * 256, "C:", "%2e%2e", "~"]
)
NAMES = st.one_of(st.text(max_size=20), st.lists(PARTS, max_size=8).map("/".join))
CHANGES = st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), max_size=8)
FEW = settings(max_examples=60, deadline=None)
Fresh = Callable[[], Filling]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    return lambda: Filling(tmp_path_factory.mktemp("fuzz") / "top")


def fill(fresh: Fresh, *volumes: SimpleVolume) -> None:
    """Files below /volume, or a named failure; nothing anywhere else."""
    filling = fresh()
    filling.configure(input_bytes=1 << 20)
    reason: str = JobFailureReason.DOWNLOAD_FAILED
    try:
        asyncio.run(filling.fill(*volumes))
    except JobFailed as failed:
        reason = failed.failure.reason
    assert reason == JobFailureReason.DOWNLOAD_FAILED
    assert [path.name for path in filling.top.iterdir()] == ["job"]
    assert _below(filling.tree.path) <= {"volume", "specs", "scratch", "output", "artifacts"}
    assert filling.tree.volume.size() <= 1 << 20
    assert not any(path.is_symlink() for path in filling.tree.path.rglob("*"))


def _below(path: Path) -> set[str]:
    return {each.name for each in path.iterdir()}


@FEW
@given(st.binary(max_size=300), st.sampled_from([None, "in", "in/", "a/b.c"]))
def test_any_bytes(fresh: Fresh, data: bytes, path: str | None) -> None:
    fill(fresh, inline(data, path))


@FEW
@given(st.binary(max_size=300))
def test_any_bytes_that_begin_like_an_archive(fresh: Fresh, data: bytes) -> None:
    fill(fresh, inline(b"PK\3\4" + data))


@settings(max_examples=300, deadline=None)
@given(CHANGES, st.integers(0, 60), st.binary(max_size=20))
def test_good_archives_with_damage(
    fresh: Fresh, changes: list[tuple[int, int]], cut: int, more: bytes
) -> None:
    data = bytearray(GOOD)
    for place, value in changes:
        data[place] = value

    fill(fresh, inline(bytes(data[: len(data) - cut]) + more))


@FEW
@given(st.lists(NAMES, min_size=1, max_size=4))
def test_any_names_in_an_archive(fresh: Fresh, names: list[str]) -> None:
    made = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(made, "w") as archive:
        warnings.simplefilter("ignore")
        for name in names:
            with suppress(UnicodeEncodeError, IndexError):
                archive.writestr(name, b"x")

    fill(fresh, inline(made.getvalue()))


@FEW
@given(NAMES, st.booleans())
def test_any_path_of_a_volume(fresh: Fresh, path: str, packed: bool) -> None:
    """Also those that the wire refuses, as if it had not."""
    contents = base64.b64encode(GOOD if packed else b"text").decode()

    fill(fresh, InlineVolume.model_construct(contents=contents, relative_path=path))


@FEW
@given(NAMES)
def test_any_path_of_a_download(fresh: Fresh, path: str) -> None:
    url = "http://127.0.0.1:1/f"

    fill(fresh, SingleFileVolume.model_construct(url=url, relative_path=path))


@FEW
@given(st.text(max_size=40).map("http://127.0.0.1:1/".__add__) | st.text(max_size=40))
def test_any_url(fresh: Fresh, url: str) -> None:
    fill(fresh, SingleFileVolume.model_construct(url=url, relative_path="f"))


@settings(max_examples=500)
@given(NAMES)
def test_a_path_is_refused_or_stays_below_its_folder(path: str) -> None:
    try:
        parts = components_of(path)
    except TransferError:
        return
    assert "/".join(parts) == path
    assert not {"", ".", ".."} & set(parts)
    assert "\0" not in path
    path.encode()

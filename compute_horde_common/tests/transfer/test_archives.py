"""An archive gives plain files within its limits, or a named error; never anything else."""

import asyncio
import io
import stat
import threading
import warnings
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute_horde_common.transfer.archives import Unpacked, is_archive, unpack, unpack_now
from compute_horde_common.transfer.budget import Budget
from compute_horde_common.transfer.errors import (
    ArchiveRefused,
    BudgetSpent,
    TooManyEntries,
    TransferError,
)
from compute_horde_common.transfer.tree import Folder

MIB = 1024 * 1024


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder.create(tmp_path / "job")


def zipped(
    *files: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED
) -> io.BytesIO:
    made = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(made, "w", method) as archive:
        warnings.simplefilter("ignore")
        for name, content in files:
            archive.writestr(name, content)
    made.seek(0)
    return made


def refuse(archive: io.BytesIO, into: Folder, budget: int = MIB) -> str:
    with pytest.raises(ArchiveRefused) as refused:
        unpack_now(archive, into, budget=Budget(budget))
    return str(refused.value)


async def test_files_and_folders_come_out(folder: Folder) -> None:
    archive = zipped(("a.txt", b"one"), ("empty/", b""), ("./sub/b.txt", b"two"))
    budget = Budget(100)

    done = await unpack(archive, folder, budget=budget)

    assert done == Unpacked(files=2, inflated_bytes=6)
    assert (folder.path / "sub/b.txt").read_bytes() == b"two"
    assert (folder.path / "empty").is_dir()
    assert budget.left == 94


def test_programs_stay_executable(folder: Folder) -> None:
    info = zipfile.ZipInfo("run.sh")
    info.external_attr = (stat.S_IFREG | 0o755) << 16

    unpack_now(zipped((info, b"#!/bin/sh")), folder, budget=Budget(100))

    assert (folder.path / "run.sh").stat().st_mode & 0o777 == 0o777


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "a\\..\\x", "a//b", "x" * 300])
def test_names_that_lead_out_are_refused(folder: Folder, name: str) -> None:
    refuse(zipped((name, b"x")), folder)

    assert list(folder.walk()) == []


def test_a_name_with_nul_is_refused(folder: Folder) -> None:
    archive = io.BytesIO(zipped(("a_b", b"x")).getvalue().replace(b"a_b", b"a\0b"))

    assert "NUL" in refuse(archive, folder)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_and_special_files_are_refused(folder: Folder, kind: int) -> None:
    info = zipfile.ZipInfo("odd")
    info.external_attr = (kind | 0o777) << 16

    assert "neither a file" in refuse(zipped((info, b"/etc/passwd")), folder)


def test_the_same_name_twice_is_refused(folder: Folder) -> None:
    assert "twice" in refuse(zipped(("a", b"1"), ("a", b"2")), folder)


def test_a_name_that_is_file_and_folder_is_refused(folder: Folder) -> None:
    assert "both" in refuse(zipped(("a", b"1"), ("a/b", b"2")), folder)


def test_an_encrypted_entry_is_refused(folder: Folder) -> None:
    data = bytearray(zipped(("a", b"1")).getvalue())
    data[data.index(b"PK\1\2") + 8] |= 1

    assert "encrypted" in refuse(io.BytesIO(data), folder)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(folder: Folder, method: int) -> None:
    assert "neither stored" in refuse(zipped(("a", b"1"), method=method), folder)


def test_entries_that_share_bytes_are_refused(folder: Folder) -> None:
    data = bytearray(zipped(("a", b"1" * 50), ("b", b"2" * 50)).getvalue())
    second = data.rindex(b"PK\1\2")
    data[second + 42 : second + 46] = (0).to_bytes(4, "little")

    assert "overlap" in refuse(io.BytesIO(data), folder)


def test_a_declared_size_beyond_the_budget_writes_nothing(folder: Folder) -> None:
    with pytest.raises(BudgetSpent):
        unpack_now(zipped(("a", b"0" * 5000)), folder, budget=Budget(4999))

    assert list(folder.walk()) == []


def test_a_size_that_lies_is_found_out(folder: Folder) -> None:
    data = bytearray(zipped(("a", b"0" * 100_000)).getvalue())
    listed = data.index(b"PK\1\2")
    data[listed + 24 : listed + 28] = (10).to_bytes(4, "little")
    budget = Budget(1000)

    with pytest.raises(ArchiveRefused):
        unpack_now(io.BytesIO(data), folder, budget=budget)
    assert budget.left >= 990


def test_a_bomb_is_refused_by_its_ratio(folder: Folder) -> None:
    archive = zipped(("bomb", bytes(64 * MIB)))

    assert "more than 200 times" in refuse(archive, folder, budget=1024 * MIB)
    assert folder.size() <= 17 * MIB


def test_many_small_bombs_add_up(folder: Folder) -> None:
    archive = zipped(("bomb", bytes(9 * MIB)))
    budget = Budget(1024 * MIB)
    unpack_now(archive, folder, budget=budget)

    with pytest.raises(ArchiveRefused, match="more than 200 times"):
        unpack_now(archive, folder, budget=budget)


def test_an_archive_in_an_archive_is_a_file(folder: Folder) -> None:
    inner = zipped(("bomb", bytes(9 * MIB))).getvalue()

    unpack_now(zipped(("inner.zip", inner)), folder, budget=Budget(MIB))

    assert (folder.path / "inner.zip").read_bytes() == inner


@pytest.mark.parametrize(
    ("data", "meant"),
    [
        (zipped(("a", b"1")).getvalue(), True),
        (b"#!/bin/sh\n" + zipped(("a", b"1")).getvalue(), True),
        (zipped(("a", b"1")).getvalue()[:-9], True),
        (zipped().getvalue(), True),
        (b"version=2", False),
        (b"", False),
    ],
)
def test_what_is_meant_as_an_archive_is_recognised(data: bytes, meant: bool) -> None:
    assert is_archive(data) == meant


def test_too_many_entries_are_refused(folder: Folder) -> None:
    archive = zipped(*((f"{number}/file", b"") for number in range(6)))

    with pytest.raises(TooManyEntries, match="more than the 10 files"):
        unpack_now(archive, folder, budget=Budget(10, entries=10))
    assert list(folder.walk()) == []


def test_entries_of_several_archives_add_up(folder: Folder) -> None:
    archive = zipped(("sub/a", b"1"), ("b", b"2"))
    budget = Budget(10, entries=5)
    unpack_now(archive, folder, budget=budget)

    with pytest.raises(TooManyEntries):
        unpack_now(archive, folder, budget=budget)


def test_a_huge_list_of_entries_is_not_even_read(folder: Folder) -> None:
    archive = zipped(*((f"{number:0200d}", b"") for number in range(20_000)))

    assert "list of entries" in refuse(archive, folder)


def test_a_job_link_in_the_way_is_not_followed(folder: Folder, tmp_path: Path) -> None:
    (folder.path / "out").symlink_to(tmp_path)

    refuse(zipped(("out/x", b"1")), folder)

    assert not (tmp_path / "x").exists()


async def test_cancelling_stops_the_thread(folder: Folder) -> None:
    archive = Slow(zipped(("a", b"1"), method=zipfile.ZIP_STORED).getvalue())
    task = asyncio.create_task(unpack(archive, folder, budget=Budget(MIB)))
    await asyncio.to_thread(archive.reached.wait, 10)

    task.cancel()
    archive.go_on.set()

    with pytest.raises(asyncio.CancelledError):
        await task


class Slow(io.BytesIO):
    """Stops at its first read until it is let go."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.reached = threading.Event()
        self.go_on = threading.Event()

    def read(self, size: int | None = -1, /) -> bytes:
        self.reached.set()
        self.go_on.wait(10)
        return super().read(size)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6),
    st.integers(0, 400),
)
def test_damaged_archives_give_named_errors(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(zipped(("a.txt", b"hello" * 9), ("sub/b.bin", bytes(50))).getvalue())
    for place, value in changes:
        data[place % len(data)] = value
    folder = Folder.create(tmp_path_factory.mktemp("fuzz") / "job")

    try:
        unpack_now(io.BytesIO(data[: len(data) - cut]), folder, budget=Budget(MIB))
    except TransferError:
        return
    assert folder.size() <= MIB


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet=st.sampled_from("./a\\é"), min_size=1, max_size=10))
def test_any_name_stays_below_the_folder(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    top = tmp_path_factory.mktemp("names")
    folder = Folder.create(top / "job")

    with suppress(TransferError):
        unpack_now(zipped((name, b"x")), folder, budget=Budget(MIB))

    assert [entry.name for entry in top.iterdir()] == ["job"]

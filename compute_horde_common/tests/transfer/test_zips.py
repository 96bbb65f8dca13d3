import zipfile
from pathlib import Path

import pytest

from compute_horde_common.transfer.errors import ArchiveRefused
from compute_horde_common.transfer.tree import Folder
from compute_horde_common.transfer.zips import Source, pack

PLENTY = 1 << 30


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder.create(tmp_path / "output")


@pytest.fixture
def scratch(tmp_path: Path) -> Folder:
    return Folder.create(tmp_path / "scratch")


def written(scratch: Folder) -> dict[str, bytes]:
    with zipfile.ZipFile(scratch.path / "all.zip") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


async def test_all_files_are_packed_in_the_order_of_their_names(
    folder: Folder, scratch: Folder
) -> None:
    (folder.path / "b").write_bytes(b"2")
    (folder.path / "a").mkdir()
    (folder.path / "a" / "ä").write_bytes(b"1")

    left_out = await pack(folder, scratch, "all.zip", max_bytes=PLENTY)

    assert list(written(scratch).items()) == [("a/ä", b"1"), ("b", b"2")]
    assert left_out == []


async def test_the_same_files_make_the_same_zip(folder: Folder, scratch: Folder) -> None:
    (folder.path / "a").write_bytes(b"1")
    await pack(folder, scratch, "first.zip", max_bytes=PLENTY)
    (folder.path / "a").touch()

    await pack(folder, scratch, "second.zip", max_bytes=PLENTY)

    first, second = (scratch.path / name for name in ("first.zip", "second.zip"))
    assert first.read_bytes() == second.read_bytes()


async def test_some_files_come_from_elsewhere_and_some_not_at_all(
    folder: Folder, scratch: Folder, tmp_path: Path
) -> None:
    for name in ("a", "log", "sent"):
        (folder.path / name).write_bytes(b"the job's")
    (tmp_path / "log").write_bytes(b"ours")

    await pack(
        folder,
        scratch,
        "all.zip",
        max_bytes=PLENTY,
        without={"sent"},
        instead={"log": Source(Folder(tmp_path), "log")},
    )

    assert written(scratch) == {"a": b"the job's", "log": b"ours"}


async def test_links_and_special_names_are_left_out_and_told(
    folder: Folder, scratch: Folder
) -> None:
    (folder.path / "link").symlink_to("/etc/passwd")
    (folder.path / "bad\udcff").touch()

    left_out = await pack(folder, scratch, "all.zip", max_bytes=PLENTY)

    assert written(scratch) == {}
    assert sorted(left_out) == [
        "bad\\udcff: no plain file with a plain name",
        "link: no plain file with a plain name",
    ]


async def test_a_file_with_a_hole_counts_as_long_as_it_says(
    folder: Folder, scratch: Folder
) -> None:
    with (folder.path / "giant").open("wb") as giant:
        giant.truncate(1 << 40)

    with pytest.raises(ArchiveRefused, match="more than 1073741824 bytes together"):
        await pack(folder, scratch, "all.zip", max_bytes=PLENTY)

    assert list(scratch.path.iterdir()) == []


async def test_more_than_a_thousand_files_are_refused(folder: Folder, scratch: Folder) -> None:
    for number in range(1001):
        (folder.path / str(number)).touch()

    with pytest.raises(ArchiveRefused, match="1001 files to pack; a zip may have 1000"):
        await pack(folder, scratch, "all.zip", max_bytes=PLENTY)

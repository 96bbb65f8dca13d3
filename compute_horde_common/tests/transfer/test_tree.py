"""Nothing a path or a job's leftovers say leads out of the folder."""

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute_horde_common.transfer.errors import MissingFile, StorageFailed, UnsafePath
from compute_horde_common.transfer.removal import remove_tree
from compute_horde_common.transfer.tree import Entry, Folder, JobTree, Kind, components_of


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder.create(tmp_path / "job")


def write(folder: Folder, path: str, content: bytes) -> None:
    with folder.open_file(path, "wb") as target:
        target.write(content)


def read(folder: Folder, path: str) -> bytes:
    with folder.open_file(path) as source:
        return source.read()


HOSTILE = [
    "",
    "/etc/passwd",
    "..",
    "../x",
    "a/../../x",
    "a/..",
    "a//b",
    "a/",
    "./a",
    "a\0b",
    "a\\b",
    "\ud800",
    "x" * 256,
    "/".join("a" * 70),
    "/".join(["y" * 200] * 20),
]


@pytest.mark.parametrize("path", HOSTILE)
def test_hostile_paths_are_refused(folder: Folder, path: str) -> None:
    with pytest.raises(UnsafePath):
        folder.open_file(path, "wb")


@given(st.text(alphabet=st.sampled_from("./a\\\0é"), max_size=12))
def test_an_accepted_path_stays_below_its_folder(path: str) -> None:
    try:
        parts = components_of(path)
    except UnsafePath:
        return

    joined = os.path.normpath(Path("/job", path))
    assert joined == "/job/" + "/".join(parts)


@pytest.mark.parametrize("path", ["a b.txt", "..a", "...", "a/b/c", "é" * 127])
def test_unusual_but_harmless_paths_work(folder: Folder, path: str) -> None:
    write(folder, path, b"content")

    assert read(folder, path) == b"content"


def test_a_missing_file_is_named(folder: Folder) -> None:
    with pytest.raises(MissingFile) as refused:
        folder.open_file("no/such.txt")

    assert refused.value.path == "no/such.txt"


@pytest.mark.parametrize("mode", ["rb", "wb"])
def test_a_link_instead_of_a_file_is_not_followed(
    folder: Folder, tmp_path: Path, mode: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"mine")
    (folder.path / "link").symlink_to(secret)

    with pytest.raises(UnsafePath):
        folder.open_file("link", mode)  # type: ignore[call-overload, arg-type, unused-ignore]  # parametrised
    assert secret.read_bytes() == b"mine"


def test_a_link_instead_of_a_folder_is_not_followed(folder: Folder, tmp_path: Path) -> None:
    (folder.path / "out").symlink_to(tmp_path)

    with pytest.raises(UnsafePath):
        folder.open_file("out/new.txt", "wb")
    assert not (tmp_path / "new.txt").exists()


def test_a_fifo_is_refused_without_waiting(folder: Folder) -> None:
    os.mkfifo(folder.path / "pipe")

    with pytest.raises(UnsafePath):
        folder.open_file("pipe")


def test_a_device_is_refused(folder: Folder) -> None:
    os.mknod(folder.path / "zero", 0o20666, os.makedev(1, 5))

    with pytest.raises(UnsafePath):
        folder.open_file("zero")


def test_a_file_where_a_folder_should_be_is_refused(folder: Folder) -> None:
    write(folder, "a", b"")

    with pytest.raises(UnsafePath):
        folder.make_dirs("a/b")


def test_exclusive_writing_refuses_an_existing_file(folder: Folder) -> None:
    write(folder, "a", b"first")

    with pytest.raises(UnsafePath):
        folder.open_file("a", "xb")
    assert read(folder, "a") == b"first"


def test_writing_replaces_all_of_an_existing_file(folder: Folder) -> None:
    write(folder, "a", b"long content")
    write(folder, "a", b"short")

    assert read(folder, "a") == b"short"


def test_walking_lists_everything_and_follows_nothing(folder: Folder) -> None:
    write(folder, "sub/file.txt", b"12345")
    (folder.path / "loop").symlink_to(folder.path)
    os.mkfifo(folder.path / "pipe")

    assert sorted(folder.walk(), key=lambda entry: entry.path) == [
        Entry("loop", Kind.LINK, 0),
        Entry("pipe", Kind.SPECIAL, 0),
        Entry("sub", Kind.FOLDER, 0),
        Entry("sub/file.txt", Kind.FILE, 5),
    ]
    assert list(folder.iter_regular_files()) == [Entry("sub/file.txt", Kind.FILE, 5)]
    assert folder.size() == 5


def test_names_that_are_no_text_are_left_out_of_the_files(folder: Folder) -> None:
    Path(os.fsdecode(os.fsencode(folder.path) + b"/\xff")).touch()

    assert list(folder.iter_regular_files()) == []


def test_the_job_tree_is_closed_and_its_folders_open(tmp_path: Path) -> None:
    tree = JobTree.create(tmp_path / "job")

    assert tree.path.stat().st_mode & 0o777 == 0o700
    assert tree.output.path.stat().st_mode & 0o777 == 0o777


def test_a_job_tree_that_exists_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed):
        JobTree.create(tmp_path)


def test_removing_leaves_what_links_point_to(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    tree = JobTree.create(tmp_path / "job")
    (tree.output.path / "link").symlink_to(kept)

    tree.remove()

    assert not tree.path.exists()
    assert (kept / "file").exists()


def test_removing_copes_with_depth_modes_and_special_files(tmp_path: Path) -> None:
    tree = JobTree.create(tmp_path / "job")
    dig(tree.output.path, depth=3000)
    os.mkfifo(tree.volume.path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tree.specs.path / "socket"))
    tree.artifacts.make_dirs("closed/inner")
    (tree.artifacts.path / "closed").chmod(0)

    tree.remove()

    assert not tree.path.exists()


def test_removing_what_is_gone_is_fine(tmp_path: Path) -> None:
    remove_tree(tmp_path / "never")

    assert list(tmp_path.iterdir()) == []


def dig(top: Path, depth: int) -> None:
    """A path far longer than any system call takes."""
    at = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=at)
        inner = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = inner
    os.close(at)

"""Files and folders of this machine become inline volumes."""

import base64
import io
import os
import random
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from compute_horde_common.protocol.facilitator_validator import MAX_FRAME_TO_VALIDATOR
from compute_horde_sdk._internal.folders import LARGEST_BYTES
from compute_horde_sdk.v1 import ComputeHordeValidationError, InlineInputVolume


def modes(volume: InlineInputVolume) -> dict[str, str]:
    """The names in it, with what they are and who may do what."""
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(volume.contents))) as archive:
        return {each.filename: oct(each.external_attr >> 16) for each in archive.infolist()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    (made / "a" / "empty").mkdir(parents=True)
    (made / "a" / "b.txt").write_text("b")
    (made / "run").write_text("#!/bin/sh")
    (made / "run").chmod(0o700)
    (made / "link").symlink_to("a/b.txt")
    return made


def test_a_folder_has_all_its_files_its_programs_and_its_empty_folders(folder: Path) -> None:
    assert modes(InlineInputVolume.from_directory(folder)) == {
        "a/b.txt": "0o100644",
        "a/empty/": "0o40755",
        "link": "0o100644",
        "run": "0o100755",
    }


def test_the_same_files_make_the_same_volume(folder: Path) -> None:
    first = InlineInputVolume.from_directory(folder)
    os.utime(folder / "a" / "b.txt", (1, 1))

    assert InlineInputVolume.from_path(str(folder)) == first
    assert InlineInputVolume.from_directory(folder, compress=False) != first


def test_a_file_is_in_a_folder_under_the_name_that_was_given(folder: Path) -> None:
    assert list(modes(InlineInputVolume.from_path(folder / "link"))) == ["link"]


@pytest.mark.parametrize(
    ("exclude", "left"),
    [
        (["a"], ["link", "run"]),
        (["a/"], ["link", "run"]),
        (["*.txt"], ["a/empty/", "link", "run"]),
        (["a/*"], ["a/", "link", "run"]),
        (["*"], []),
    ],
    ids=str,
)
def test_what_is_excluded_is_left_out(folder: Path, exclude: list[str], left: list[str]) -> None:
    assert list(modes(InlineInputVolume.from_directory(folder, exclude=exclude))) == left


def _bind(at: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(at))


STRANGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "link out": (lambda at: at.symlink_to("/etc/passwd"), "odd is a link that leads out"),
    "link to a folder": (lambda at: at.symlink_to("a"), "odd is a link to a folder"),
    "link to nothing": (lambda at: at.symlink_to("none"), "odd is no regular file"),
    "link to itself": (lambda at: at.symlink_to("odd"), "cannot be read"),
    "pipe": (os.mkfifo, "odd is no regular file"),
    "socket": (_bind, "odd is no regular file"),
}


@pytest.mark.parametrize(("make", "said"), STRANGE.values(), ids=STRANGE.keys())
def test_what_is_no_file_is_refused_unless_it_is_excluded(
    folder: Path, make: Callable[[Path], object], said: str
) -> None:
    make(folder / "odd")

    with pytest.raises(ComputeHordeValidationError, match=said) as refused:
        InlineInputVolume.from_directory(folder)

    assert refused.value.field == "path"
    assert "odd" not in modes(InlineInputVolume.from_directory(folder, exclude=["odd"]))


@pytest.mark.parametrize("compress", [True, False])
def test_too_much_names_the_largest_files(folder: Path, compress: bool) -> None:
    (folder / "large").write_bytes(random.Random(1).randbytes(900_000))  # noqa: S311 - no secret

    with pytest.raises(ComputeHordeValidationError, match=r"large \(900000 bytes\), run \(9") as no:
        InlineInputVolume.from_directory(folder, compress=compress)

    assert "has 900011 bytes" in str(no.value)


def test_a_file_beyond_all_bounds_is_not_even_read(folder: Path) -> None:
    with (folder / "sparse").open("wb") as file:
        file.truncate(1 << 40)

    with pytest.raises(ComputeHordeValidationError, match="sparse"):
        InlineInputVolume.from_directory(folder)


def test_the_bound_is_that_of_messages_to_validators() -> None:
    assert LARGEST_BYTES == MAX_FRAME_TO_VALIDATOR


@pytest.mark.parametrize("path", ["none", "\0", "\ud800", 7, None], ids=repr)
def test_what_is_no_folder_is_refused(tmp_path: Path, path: str) -> None:
    given = tmp_path / path if isinstance(path, str) else path

    for make in (InlineInputVolume.from_directory, InlineInputVolume.from_path):
        with pytest.raises(ComputeHordeValidationError):
            make(given)


def test_a_file_is_no_folder(folder: Path) -> None:
    with pytest.raises(ComputeHordeValidationError, match="no folder"):
        InlineInputVolume.from_directory(folder / "run")


@pytest.mark.parametrize("exclude", ["*.pyc", None, 7, [7]], ids=repr)
def test_patterns_that_are_no_list_are_refused(folder: Path, exclude: list[str]) -> None:
    with pytest.raises(ComputeHordeValidationError, match="exclude"):
        InlineInputVolume.from_directory(folder, exclude=exclude)


@pytest.mark.parametrize("name", ["zażółć", "🐝", "a b", "cafe\u0301", "a'\"$"])
def test_names_of_any_language_are_kept(folder: Path, name: str) -> None:
    (folder / name).write_text("x")

    assert name in modes(InlineInputVolume.from_directory(folder))


def test_a_name_that_is_no_text_is_refused(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff")).write_text("x")

    with pytest.raises(ComputeHordeValidationError) as refused:
        InlineInputVolume.from_directory(folder)

    assert refused.value.field == "path"


def test_a_file_that_not_even_root_can_read_is_refused() -> None:
    with pytest.raises(ComputeHordeValidationError, match="mem cannot be read"):
        InlineInputVolume.from_path("/proc/self/mem")

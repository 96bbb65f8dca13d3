"""The cache gives back what was kept, whole, or nothing; and it stays as small as it should."""

import hashlib
import io
import multiprocessing
import os
import resource
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from compute_horde_common.transfer.cache import InputCache, Label

PAGE = 4096
GO_ON = threading.Event()
URL = "https://example.test/f?signature=secret"


def label(content: bytes, etag: str | None = '"e"') -> Label:
    return Label(etag, hashlib.sha256(content).hexdigest(), len(content))


class Pantry:
    """A cache, and small words for it."""

    def __init__(self, path: Path, limit: int = 1 << 20) -> None:
        self.path = path
        self.complaints: list[str] = []
        self.cache = InputCache(path, limit, complain=self.complaints.append)
        self.away = path.parent

    def keep(self, url: str, content: bytes) -> None:
        source = self.away / f"source-{os.getpid()}"
        source.write_bytes(content)
        with source.open("rb") as file:
            self.cache.store(url, file, label(content), GO_ON)

    def read(self, url: str) -> bytes | None:
        kept = self.cache.find(url, GO_ON)
        if kept is None:
            return None
        with closing(kept), (self.away / f"target-{os.getpid()}").open("wb+") as target:
            kept.copy_to(target, GO_ON)
            target.seek(0)
            return target.read()

    def size(self) -> int:
        return sum(path.stat().st_size for path in self.path.iterdir())


@pytest.fixture
def pantry(tmp_path: Path) -> Pantry:
    return Pantry(tmp_path / "new" / "cache")


@pytest.fixture(autouse=True)
def _parent(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()


def test_what_was_kept_is_found_under_its_url(pantry: Pantry) -> None:
    pantry.keep(URL, b"content")

    assert pantry.read(URL) == b"content"
    assert pantry.read("https://example.test/f") is None
    assert pantry.complaints == []


def test_nothing_was_kept_in_a_folder_that_is_not_there(pantry: Pantry) -> None:
    assert pantry.read(URL) is None
    assert not pantry.path.exists()


def test_urls_do_not_appear_in_the_folder(pantry: Pantry) -> None:
    pantry.keep(URL, b"content")

    assert not any(
        b"example" in path.read_bytes() or "example" in path.name for path in pantry.path.iterdir()
    )


def test_the_newest_version_is_kept(pantry: Pantry) -> None:
    pantry.keep(URL, b"old")
    pantry.keep(URL, b"newer")

    assert pantry.read(URL) == b"newer"
    assert pantry.size() == PAGE + 5


def test_an_empty_file_can_be_kept(pantry: Pantry) -> None:
    pantry.keep(URL, b"")

    assert pantry.read(URL) == b""


@pytest.mark.parametrize("damage", [b"", b"x", b"[]", b"{}", b'{"etag": 1}', b"null" + bytes(5000)])
def test_a_file_that_is_something_else_is_not_used(pantry: Pantry, damage: bytes) -> None:
    pantry.keep(URL, b"content")
    _only_file(pantry).write_bytes(damage)

    assert pantry.read(URL) is None


@pytest.mark.parametrize("change", [b"Content", b"content+", b"conten"])
def test_a_content_that_has_changed_is_not_used(pantry: Pantry, change: bytes) -> None:
    pantry.keep(URL, b"content")
    file = _only_file(pantry)
    file.write_bytes(file.read_bytes()[:PAGE] + change)

    assert pantry.read(URL) is None


def test_what_was_not_used_for_longest_makes_room(pantry: Pantry, tmp_path: Path) -> None:
    small = Pantry(pantry.path, limit=3 * (PAGE + 100))
    for name in "abc":
        small.keep(name, name.encode() * 100)
        _older(small)
    assert small.read("a") == b"a" * 100

    small.keep("d", b"d" * 100)

    assert {name: small.read(name) for name in "abcd"} == {
        "a": b"a" * 100,
        "b": None,
        "c": b"c" * 100,
        "d": b"d" * 100,
    }
    assert small.size() <= 3 * (PAGE + 100)


def test_what_is_larger_than_the_cache_is_not_kept(pantry: Pantry) -> None:
    small = Pantry(pantry.path, limit=PAGE + 10)

    small.keep(URL, b"01234567890")

    assert not small.path.exists()


def test_a_file_stays_whole_for_its_reader_when_it_is_evicted(
    pantry: Pantry, tmp_path: Path
) -> None:
    small = Pantry(pantry.path, limit=PAGE + 100)
    small.keep("a", b"a" * 100)
    kept = small.cache.find("a", GO_ON)
    assert kept is not None

    small.keep("b", b"b" * 100)
    with closing(kept), (tmp_path / "copy").open("wb") as target:
        kept.copy_to(target, GO_ON)

    assert (tmp_path / "copy").read_bytes() == b"a" * 100
    assert small.read("a") is None


def test_changing_a_copy_changes_nothing_that_is_kept(pantry: Pantry, tmp_path: Path) -> None:
    pantry.keep(URL, b"content")
    kept = pantry.cache.find(URL, GO_ON)
    assert kept is not None
    with closing(kept), (tmp_path / "copy").open("wb") as target:
        kept.copy_to(target, GO_ON)

    (tmp_path / "copy").write_bytes(b"CONTENT")

    assert pantry.read(URL) == b"content"


def test_what_an_executor_left_half_written_is_removed(pantry: Pantry) -> None:
    pantry.path.mkdir()
    (pantry.path / "incoming-dead").write_bytes(bytes(100))

    pantry.keep(URL, b"content")

    assert sorted(path.name for path in pantry.path.iterdir() if path.name != "lock") == [
        hashlib.sha256(URL.encode()).hexdigest()
    ]


def test_a_cache_that_cannot_be_written_is_told_and_fails_nobody(pantry: Pantry) -> None:
    pantry.path.write_bytes(b"a file where the folder should be")

    pantry.keep(URL, b"content")

    assert pantry.complaints == ["File exists"]
    assert pantry.read(URL) is None


def test_a_disk_that_refuses_leaves_nothing_behind(pantry: Pantry) -> None:
    content = bytes(200_000)
    source = io.FileIO(pantry.away / "source", "wb+")
    source.write(content)

    with closing(source), _largest_file(100_000):
        pantry.cache.store(URL, source, label(content), GO_ON)  # type: ignore[arg-type]

    assert pantry.complaints == ["File too large"]
    assert [path.name for path in pantry.path.iterdir()] == ["lock"]


def test_copying_can_be_stopped(pantry: Pantry) -> None:
    stop = threading.Event()
    stop.set()
    with io.BytesIO() as nothing:
        pantry.cache.store(URL, nothing, label(b"content"), stop)

    assert pantry.complaints == ["copying was stopped"]
    assert [path.name for path in pantry.path.iterdir()] == ["lock"]


def test_several_executors_share_a_cache(tmp_path: Path) -> None:
    path = tmp_path / "new" / "cache"
    with ProcessPoolExecutor(3, multiprocessing.get_context("spawn")) as processes:
        faults = list(processes.map(_busy, [path] * 3))

    assert faults == [[], [], []]
    assert Pantry(path).size() <= 5 * (PAGE + 5000)
    assert not any(each.name.startswith("incoming-") for each in path.iterdir())


def _busy(path: Path) -> list[str]:
    """Stores and reads for a while; returns what went wrong."""
    pantry = Pantry(path, limit=5 * (PAGE + 5000))
    wrong = []
    for turn in range(60):
        name = str(turn % 8)
        pantry.keep(name, name.encode() * 5000)
        if pantry.read(name) not in {None, name.encode() * 5000}:
            wrong.append(name)
    return wrong + [why for why in pantry.complaints if "filling" not in why]


def _only_file(pantry: Pantry) -> Path:
    (file,) = (path for path in pantry.path.iterdir() if path.name != "lock")
    return file


def _older(pantry: Pantry) -> None:
    """Makes everything kept so far a minute older."""
    for path in pantry.path.iterdir():
        seen = path.stat()
        os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns - 60_000_000_000))


@contextmanager
def _largest_file(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

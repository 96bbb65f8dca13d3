import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute_horde_common.containers.interface import Stream
from compute_horde_common.transfer.tree import Folder
from executor.stages.live import LiveOutput, Piece, Progress, read_progress

OUT, ERR = Stream.STDOUT, Stream.STDERR


def test_pieces_keep_the_order_of_both_streams() -> None:
    output = LiveOutput(1000, 100)
    output.feed(OUT, b"one\n")
    output.feed(ERR, b"two\n")
    output.feed(OUT, b"three\n")

    pieces = output.take()

    assert pieces == [
        Piece(0, OUT, "one\n", 0),
        Piece(1, ERR, "two\n", 0),
        Piece(2, OUT, "three\n", 0),
    ]


def test_an_unfinished_line_waits_for_one_look() -> None:
    output = LiveOutput(1000, 100)
    output.feed(OUT, b"done\nhalf")

    first, second = output.take(), output.take()

    assert first == [Piece(0, OUT, "done\n", 0)]
    assert second == [Piece(1, OUT, "half", 0)]


def test_a_character_cut_in_two_is_put_together() -> None:
    output = LiveOutput(1000, 100)
    output.feed(OUT, b"\xc3")
    output.feed(OUT, b"\xa9\n")

    assert output.take() == [Piece(0, OUT, "é\n", 0)]


def test_long_pieces_are_cut_at_the_end_of_a_line() -> None:
    output = LiveOutput(1000, 8)
    output.feed(OUT, b"abcde\nfgh\nijklmnopqrst\n")

    assert [piece.text for piece in output.take()] == ["abcde\n", "fgh\n", "ijklmnop", "qrst\n"]


def test_too_much_output_loses_its_middle_and_says_so() -> None:
    output = LiveOutput(1000, 500)
    output.feed(OUT, b"a" * 499 + b"\n")
    first = output.take()
    output.feed(OUT, b"b" * 999 + b"\n")
    middle = output.take()
    output.feed(OUT, b"c" * 99 + b"\n")

    last = output.take(last=True)

    assert first == [Piece(0, OUT, "a" * 499 + "\n", 0)]
    assert middle == [Piece(1, OUT, "bbb\n"[-3:], 997)]
    assert last == [Piece(2, OUT, "c" * 99 + "\n", 0)]


@given(st.lists(st.tuples(st.sampled_from(Stream), st.binary(max_size=3000)), max_size=40))
def test_all_pieces_together_stay_within_the_budget(writes: list[tuple[Stream, bytes]]) -> None:
    output = LiveOutput(5000, 200)
    pieces: list[Piece] = []
    for stream, data in writes:
        output.feed(stream, data)
        pieces += output.take()

    pieces += output.take(last=True)

    assert sum(len(piece.text.encode()) for piece in pieces) <= 5000
    assert [piece.number for piece in pieces] == list(range(len(pieces)))
    assert all(0 < len(piece.text) <= 200 for piece in pieces)


@given(st.lists(st.text(max_size=50), max_size=40))
def test_little_output_arrives_whole(lines: list[str]) -> None:
    output = LiveOutput(1 << 20, 200)
    texts: list[str] = []
    for line in lines:
        output.feed(OUT, line.encode())
        texts += [piece.text for piece in output.take()]

    texts += [piece.text for piece in output.take(last=True)]

    assert "".join(texts) == "".join(lines).replace("\0", "\ufffd")


@pytest.mark.parametrize(
    ("written", "progress"),
    [
        ("42.5 epoch 3 of 7\n", Progress(42.5, "epoch 3 of 7")),
        ("100%", Progress(100.0, "")),
        ("0 \x1b[31mred\x1b[0m", Progress(0.0, "[31mred[0m")),
        ("7 " + "x" * 300, Progress(7.0, "x" * 200)),
        ("101 too far", None),
        ("nan", None),
        ("half done", None),
        ("", None),
    ],
)
def test_progress_is_a_number_and_words(
    tmp_path: Path, written: str, progress: Progress | None
) -> None:
    (tmp_path / "progress").write_text(written)

    assert read_progress(Folder(tmp_path), 200) == progress


def test_a_progress_file_that_is_a_link_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("42 of the host")
    (tmp_path / "progress").symlink_to(tmp_path / "secret")

    assert read_progress(Folder(tmp_path), 200) is None


def test_a_flood_of_short_lines_is_taken_in_its_stride() -> None:
    output = LiveOutput(1 << 20, 16_384)
    for _ in range(300_000):
        output.feed(OUT, b"y\n")

    pieces = output.take()

    told = sum(len(piece.text) for piece in pieces)
    assert told + pieces[0].dropped == 600_000
    assert {piece.text[:2] for piece in pieces} == {"y\n"}


HOLDER = """
import fcntl, os, sys
held = os.open(sys.argv[1], os.O_WRONLY)
fcntl.fcntl(held, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_job_that_holds_a_lease_on_its_progress_file_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "progress").write_text("42 leased")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "progress")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        held = holder.stdout.readline()
        progress = read_progress(Folder(tmp_path), 200)
        holder.kill()

    assert held == b"held\n"
    assert progress is None

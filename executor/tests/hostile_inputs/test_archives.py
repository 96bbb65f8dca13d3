"""Whatever an archive says about itself, files come out below /volume, or a named failure."""

import io
import stat
import struct
import zipfile
from collections.abc import Callable

import pytest

from compute_horde_common.jobs.volumes import SimpleVolume
from tests.filling import Filling, archive_at, inline, refused, zipped
from tests.servers import Site, answer

MIB = 1 << 20
DIRECTORY = b"PK\1\2"
TOO_FAR = (
    "The job's archives inflate to more than 200 times their own size."
    " Send such data as it is, or let the job generate it."
)
TOO_MANY = (
    "The job's inputs have more than the 20000 files and folders they may have in all."
    " Send fewer, e.g. as one file that the job itself unpacks."
)
BROKEN_OFF = "The archive is broken: File is not a zip file"


def named(name: str) -> bytes:
    return zipped((name, b"x"))


def renamed(old: bytes, new: bytes) -> bytes:
    """An archive of one file whose name ``zipfile`` itself would not write."""
    return zipped((old.decode(), b"x")).replace(old, new)


def odd(kind: int, *, name: str = "odd") -> bytes:
    info = zipfile.ZipInfo(name)
    info.external_attr = (kind | 0o777) << 16
    return zipped((info, b"/etc/passwd"))


def link_and_file_behind_it() -> bytes:
    info = zipfile.ZipInfo("out")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return zipped((info, b"/tmp"), ("out/x", b"1"))


def quoted() -> bytes:
    """Two entries that inflate the same bytes, as in a quoted zip bomb."""
    data = bytearray(zipped(("a", b"1" * 50), ("b", b"2" * 50)))
    second = data.rindex(DIRECTORY)
    data[second + 42 : second + 46] = bytes(4)
    return bytes(data)


def listed(changes: dict[int, bytes], data: bytes | None = None) -> bytes:
    """An archive whose list of entries says something else at these places."""
    changed = bytearray(zipped(("a", b"0" * 100_000)) if data is None else data)
    start = changed.index(DIRECTORY)
    for place, value in changes.items():
        changed[start + place : start + place + len(value)] = value
    return bytes(changed)


def lying_list(entries: int, *, names: bool) -> bytes:
    """A list of so many entries, none of which is there."""
    listing = b"".join(
        struct.pack("<4s24xH16x6s", DIRECTORY, 6, b"%06d" % number)
        if names
        else struct.pack("<4s42x", DIRECTORY)
        for number in range(entries)
    )
    claimed = min(entries, 0xFFFF)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, claimed, claimed, len(listing), 4, 0)
    return b"PK\3\4" + listing + end


def many() -> bytes:
    return zipped(*((f"{number}", b"") for number in range(20_001)), method=zipfile.ZIP_STORED)


def nested(depth: int) -> bytes:
    data = bytes(9 * MIB)
    for level in range(depth):
        data = zipped((f"{level}.zip", data))
    return data


NAMES: dict[str, tuple[Callable[[], bytes], str]] = {
    "leads out": (lambda: named("../x"), "Path '../x' is refused: it has the component '..'."),
    "leads out later": (
        lambda: named("a/../../x"),
        "Path 'a/../../x' is refused: it has the component '..'.",
    ),
    "absolute": (lambda: named("/etc/x"), "Path '/etc/x' is refused: it is absolute."),
    "two slashes": (lambda: named("//etc/x"), "Path '//etc/x' is refused: it is absolute."),
    "backslashes": (
        lambda: renamed(b"a_b_x", b"..\\\\x"),
        "Path '..\\\\\\\\x' is refused: it contains a backslash.",
    ),
    "a drive": (
        lambda: renamed(b"C__x", b"C:\\x"),
        "Path 'C:\\\\x' is refused: it contains a backslash.",
    ),
    "NUL": (lambda: renamed(b"a_b", b"a\0b"), "Path 'a\\x00b' is refused: it contains a NUL."),
    "empty component": (
        lambda: named("a//b"),
        "Path 'a//b' is refused: it has an empty component.",
    ),
    "long component": (
        lambda: named("x" * 256),
        f"Path '{'x' * 200}' is refused: a component is longer than 255 bytes.",
    ),
    "deep": (
        lambda: named("d/" * 64 + "f"),
        f"Path '{'d/' * 64}f' is refused: it is more than 64 folders deep.",
    ),
    "long": (
        lambda: named("/".join(["y" * 250] * 13)),
        f"Path '{'y' * 200}' is refused: it is longer than 3000 bytes.",
    ),
}

ARCHIVES: dict[str, tuple[Callable[[], bytes], str]] = {
    **{
        f"a name: {what}": (make, f"The archive has a forbidden name. {message}")
        for what, (make, message) in NAMES.items()
    },
    "a link": (lambda: odd(stat.S_IFLNK), "'odd' is neither a file nor a directory."),
    "a link to a folder": (
        lambda: odd(stat.S_IFLNK, name="odd/"),
        "'odd/' is neither a file nor a directory.",
    ),
    "a file behind a link": (
        link_and_file_behind_it,
        "'out' is neither a file nor a directory.",
    ),
    "a FIFO": (lambda: odd(stat.S_IFIFO), "'odd' is neither a file nor a directory."),
    "a character device": (lambda: odd(stat.S_IFCHR), "'odd' is neither a file nor a directory."),
    "a block device": (lambda: odd(stat.S_IFBLK), "'odd' is neither a file nor a directory."),
    "a socket": (lambda: odd(stat.S_IFSOCK), "'odd' is neither a file nor a directory."),
    "a name twice": (
        lambda: zipped(("a", b"1"), ("a", b"2")),
        "The archive has 'a' twice.",
    ),
    "a name twice, spelled differently": (
        lambda: zipped(("a/b", b"1"), ("./a/./b", b"2")),
        "The archive has 'a/b' twice.",
    ),
    "a file that is a folder": (
        lambda: zipped(("a", b"1"), ("a/b", b"2")),
        "'a' is both a file and a directory.",
    ),
    "a file that is a folder by name": (
        lambda: zipped(("a/", b""), ("a", b"2")),
        "'a' is both a file and a directory.",
    ),
    "entries that share bytes": (quoted, "Entries of the archive overlap."),
    "a flat bomb": (lambda: zipped(("bomb", bytes(64 * MIB))), TOO_FAR),
    "many small bombs": (
        lambda: zipped(*((str(number), bytes(MIB)) for number in range(40))),
        TOO_FAR,
    ),
    "more entries than allowed": (many, TOO_MANY),
    "more entries than allowed, none of them there": (
        lambda: lying_list(50_000, names=True),
        TOO_MANY,
    ),
    "a million entries": (
        lambda: lying_list(1_000_000, names=False),
        "The archive's list of entries is too large.",
    ),
    "an encrypted entry": (lambda: listed({8: b"\1"}), "'a' is encrypted."),
    "an unusual compression": (
        lambda: zipped(("a", b"1"), method=zipfile.ZIP_LZMA),
        "'a' is neither stored nor deflated.",
    ),
    "a size that is a lie": (
        lambda: listed({24: struct.pack("<L", 10)}),
        "The archive is broken: Bad CRC-32 for file 'a'",
    ),
    "a wrong checksum": (
        lambda: listed({16: bytes(4)}),
        "The archive is broken: Bad CRC-32 for file 'a'",
    ),
    "an entry beyond the end": (
        lambda: listed({42: struct.pack("<L", 10_000)}),
        "The archive is broken: Truncated file header",
    ),
    "nothing but a signature": (lambda: b"PK\3\4", BROKEN_OFF),
    "the first half": (lambda: zipped(("a", bytes(range(256)) * 9))[:150], BROKEN_OFF),
}


async def over_the_web(data: bytes, site: Site) -> SimpleVolume:
    site.pages["/z"] = answer(200, data)
    return archive_at(site.url("/z"), "in")


async def in_the_job(data: bytes, _: Site) -> SimpleVolume:
    return inline(data, "in")


@pytest.mark.parametrize("way", [over_the_web, in_the_job])
@pytest.mark.parametrize("what", ARCHIVES)
async def test_a_hostile_archive_is_a_named_failure(
    filling: Filling, site: Site, what: str, way: Callable[..., object]
) -> None:
    make, message = ARCHIVES[what]
    volume = await way(make(), site)  # type: ignore[misc]

    assert await filling.refusal(volume) == refused(message)
    assert {path.parts[0] for path in _relative(filling)} <= {"in"}
    assert filling.tree.volume.size() <= 17 * MIB


async def test_bytes_that_are_no_zip_are_refused_where_a_zip_is_asked_for(
    filling: Filling, site: Site
) -> None:
    volume = await over_the_web(b"<html>", site)

    assert await filling.refusal(volume) == refused(BROKEN_OFF)


async def test_a_nested_bomb_stays_a_file(filling: Filling) -> None:
    data = nested(3)

    await filling.fill(inline(data))

    assert list(filling.found()) == ["2.zip"]
    assert filling.tree.volume.size() < MIB


async def test_small_bombs_of_several_volumes_add_up(filling: Filling) -> None:
    bomb = zipped(("bomb", bytes(9 * MIB)))

    await filling.fill(inline(bomb, "a"))

    assert await filling.refusal(inline(bomb, "a"), inline(bomb, "b")) == refused(TOO_FAR)


async def test_a_size_beyond_the_budget_is_not_even_begun(filling: Filling) -> None:
    filling.configure(input_bytes=4999)

    failure = await filling.refusal(inline(zipped(("a", bytes(5000)))))

    assert failure == refused("The job's data is larger than the 4999 bytes it may have in all.")
    assert filling.found() == {}


async def test_names_that_are_no_utf8_become_names_that_are(filling: Filling) -> None:
    data = bytearray(zipped(("a_b", b"x")).replace(b"a_b", b"a\xffb"))

    await filling.fill(inline(bytes(data)))

    (name,) = filling.found()
    assert name.encode("cp437") == b"a\xffb"


async def test_names_that_claim_to_be_utf8_and_are_not_are_refused(filling: Filling) -> None:
    data = listed({8: struct.pack("<H", 0x800)}, zipped(("a_b", b"x")).replace(b"a_b", b"a\xffb"))

    failure = await filling.refusal(inline(data))

    assert failure.message.startswith("The archive is broken: 'utf-8' codec can't decode")


async def test_a_link_that_stands_in_the_way_is_not_followed(filling: Filling) -> None:
    (filling.tree.volume.path / "out").symlink_to(filling.top)

    assert await filling.refusal(inline(zipped(("out/x", b"1")))) == refused(
        "The archive has a forbidden name. Path 'out/x' is refused: 'out' is no directory."
    )


@pytest.mark.parametrize("contents", ["", "AAA", "A===", "not base64!", "AAAA\nAAAA", "\xe9"])
async def test_contents_that_are_no_base64_or_nothing_are_refused(
    filling: Filling, contents: str
) -> None:
    volume = inline(b"", "in/").model_copy(update={"contents": contents})

    failure = await filling.refusal(volume)

    assert failure == refused(failure.message)
    assert failure.message.startswith("The inline volume is no ")


def _relative(filling: Filling) -> list:  # type: ignore[type-arg]
    top = filling.tree.volume.path
    return [path.relative_to(top) for path in top.rglob("*")]


def test_the_archives_here_are_what_they_claim() -> None:
    with zipfile.ZipFile(io.BytesIO(quoted())) as archive:
        assert {info.header_offset for info in archive.infolist()} == {0}

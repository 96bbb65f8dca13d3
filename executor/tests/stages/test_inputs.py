"""Each kind of volume comes in, several at once, and the job is told what it got."""

import asyncio
import hashlib

import pytest

from executor.stages.volumes import AT_ONCE, InputRecord
from tests.filling import Filling, archive_at, inline, refused, single, zipped
from tests.servers import Request, Site, answer, in_turn, silent

HELLO = hashlib.sha256(b"hello").hexdigest()


async def test_an_inline_zip_is_unpacked_below_its_path(filling: Filling) -> None:
    data = zipped(("a", b"1"), ("sub/b", b"2"))

    records = await filling.fill(inline(data, "in/"))

    assert filling.found() == {"in/a": b"1", "in/sub/b": b"2"}
    assert records == [InputRecord("inline", "inline", "in", len(data))]


async def test_inline_contents_that_are_no_zip_are_the_file_that_the_path_names(
    filling: Filling,
) -> None:
    records = await filling.fill(inline(b"version=2", "data/version.txt"))

    assert filling.found() == {"data/version.txt": b"version=2"}
    assert records == [InputRecord("inline", "inline", "data/version.txt", 9)]


@pytest.mark.parametrize("path", [None, "", "data/"])
async def test_inline_contents_that_are_no_zip_need_the_name_of_a_file(
    filling: Filling, path: str | None
) -> None:
    assert await filling.refusal(inline(b"version=2", path)) == refused(
        "The inline volume is no zip, and its relative_path names no file. Send a base64 zip,"
        " or name the file that the contents are, e.g. data/version.txt."
    )


async def test_a_file_comes_by_url(filling: Filling, site: Site) -> None:
    site.pages["/f"] = answer(200, b"hello", ETag='"e"')

    records = await filling.fill(single(site.url("/f?signature=secret"), "./in//f"))

    assert filling.found() == {"in/f": b"hello"}
    assert records == [InputRecord("single_file", site.url("/f"), "in/f", 5, None, '"e"')]


async def test_a_zip_comes_by_url(filling: Filling, site: Site) -> None:
    data = zipped(("a", b"1"))
    site.pages["/z"] = answer(200, data)

    records = await filling.fill(archive_at(site.url("/z"), "in"))

    assert filling.found() == {"in/a": b"1"}
    assert records == [InputRecord("zip_url", site.url("/z"), "in", len(data))]


async def test_a_job_without_volumes_is_told_so(filling: Filling) -> None:
    assert await filling.fill() == []


async def test_volumes_come_at_once_but_not_too_many(filling: Filling, site: Site) -> None:
    here, most = 0, 0
    full = asyncio.Barrier(AT_ONCE)

    async def counted(request: Request, writer: asyncio.StreamWriter) -> None:
        nonlocal here, most
        here += 1
        most = max(most, here)
        await full.wait()
        here -= 1
        await answer(200, request.target.encode())(request, writer)

    site.pages = {f"/{number}": counted for number in range(2 * AT_ONCE)}

    await filling.fill(*(single(site.url(path), path[1:]) for path in site.pages))

    assert filling.found() == {path[1:]: path.encode() for path in site.pages}
    assert most == AT_ONCE


async def test_the_first_failure_ends_the_other_downloads(filling: Filling, site: Site) -> None:
    waiting = asyncio.Event()

    async def stays(request: Request, writer: asyncio.StreamWriter) -> None:
        waiting.set()
        await silent()(request, writer)

    async def fails(request: Request, writer: asyncio.StreamWriter) -> None:
        await waiting.wait()
        await answer(404)(request, writer)

    site.pages = {"/stays": stays, "/fails": fails}

    assert await filling.refusal(
        single(site.url("/stays"), "a"), single(site.url("/fails"), "b")
    ) == refused(f"{site.url('/fails')}: the server answered 404")
    assert filling.found() == {}


async def test_of_two_volumes_with_the_same_file_the_later_one_is_there(
    filling: Filling, site: Site
) -> None:
    later = asyncio.Event()

    async def first(request: Request, writer: asyncio.StreamWriter) -> None:
        await later.wait()
        await answer(200, zipped(("f", b"first"), ("g", b"kept")))(request, writer)

    async def second(request: Request, writer: asyncio.StreamWriter) -> None:
        await answer(200, b"second")(request, writer)
        later.set()

    site.pages = {"/first": first, "/second": second}

    await filling.fill(archive_at(site.url("/first")), single(site.url("/second"), "f"))

    assert filling.found() == {"f": b"second", "g": b"kept"}


async def test_a_file_where_another_volume_has_a_folder_is_refused(filling: Filling) -> None:
    assert await filling.refusal(inline(b"1", "a/b"), inline(b"2", "a")) == refused(
        "Path 'a' is refused: it is no regular file."
    )


async def test_a_digest_in_the_fragment_is_checked_and_not_sent(
    filling: Filling, site: Site
) -> None:
    site.pages["/f"] = answer(200, b"hello")

    records = await filling.fill(single(site.url(f"/f#sha256={HELLO.upper()}")))

    assert records == [InputRecord("single_file", site.url("/f"), "f", 5, HELLO)]
    assert site.asked == ["/f"]


async def test_a_digest_is_checked_of_a_resumed_download(filling: Filling, site: Site) -> None:
    site.pages["/f"] = in_turn(
        [
            answer(200, b"hel", claim=5),
            answer(206, b"lo", Content_Range="bytes 3-4/5"),
        ]
    )

    await filling.fill(single(site.url(f"/f#sha256={HELLO}")))

    assert filling.found() == {"f": b"hello"}


@pytest.mark.parametrize("kind", [single, archive_at])
async def test_a_wrong_digest_leaves_no_file(filling: Filling, site: Site, kind: object) -> None:
    assert callable(kind)
    site.pages["/f"] = answer(200, b"other")

    failure = await filling.refusal(kind(site.url(f"/f#sha256={HELLO}")))

    assert failure == refused(
        f"{site.url('/f')}: its SHA-256 is {hashlib.sha256(b'other').hexdigest()}, not {HELLO}"
        " as the job wants; correct the digest or the file"
    )
    assert list(filling.tree.scratch.walk()) == []
    assert filling.found() == {}


@pytest.mark.parametrize("fragment", ["sha256=", "sha256=12", "sha256", "SHA256:" + HELLO])
async def test_a_malformed_digest_is_refused(filling: Filling, site: Site, fragment: str) -> None:
    assert await filling.refusal(single(site.url(f"/f#{fragment}"))) == refused(
        f"{site.url('/f')}: its fragment must be #sha256= and 64 hexadecimal digits"
    )
    assert site.asked == []


async def test_all_volumes_share_one_budget_of_bytes(filling: Filling, site: Site) -> None:
    filling.configure(input_bytes=25)
    site.pages["/f"] = answer(200, b"0123456789")
    volumes = [single(site.url("/f"), str(number)) for number in range(3)]

    await filling.fill(*volumes[:2])

    assert await filling.refusal(*volumes) == refused(
        "The job's data is larger than the 25 bytes it may have in all."
    )


async def test_all_volumes_share_one_budget_of_entries(filling: Filling, site: Site) -> None:
    filling.configure(input_files=6)
    site.pages["/f"] = answer(200, b"1")
    volumes = [inline(zipped(("a/b", b"1"))), inline(b"1", "c/d"), single(site.url("/f"), "e/f")]

    await filling.fill(*volumes)

    assert await filling.refusal(*volumes, inline(b"1", "g")) == refused(
        "The job's inputs have more than the 6 files and folders they may have in all."
        " Send fewer, e.g. as one file that the job itself unpacks."
    )


async def test_an_archives_own_bytes_are_free_again_once_it_is_unpacked(
    filling: Filling, site: Site
) -> None:
    data = zipped(("a", b"0" * 1000))
    site.pages["/z"] = answer(200, data)
    filling.configure(input_bytes=2000 + len(data))

    await filling.fill(archive_at(site.url("/z"), "1"), archive_at(site.url("/z"), "2"))

    assert filling.found() == {"1/a": b"0" * 1000, "2/a": b"0" * 1000}

"""A second job does not download again what the server still vouches for."""

import hashlib
from pathlib import Path

import pytest

from executor.stages.volumes import InputRecord
from tests.filling import Filling, archive_at, refused, single, zipped
from tests.servers import Site, answer, in_turn, versioned

HELLO = hashlib.sha256(b"hello").hexdigest()


@pytest.fixture
def cache(filling: Filling, tmp_path: Path) -> Path:
    path = tmp_path / "cache"
    filling.configure(input_cache=path)
    return path


def kept_in(cache: Path) -> list[Path]:
    return [path for path in cache.glob("*") if path.name != "lock"]


async def test_the_second_job_gets_the_kept_file_once_the_server_agrees(
    filling: Filling, site: Site, cache: Path
) -> None:
    site.pages["/f"] = versioned(b"hello", '"e"')
    first = await filling.fill(single(site.url("/f")))
    await filling.next_job()

    second = await filling.fill(single(site.url("/f")))

    expected = [InputRecord("single_file", site.url("/f"), "f", 5, HELLO, '"e"')]
    assert (first, second, filling.found()) == (expected, expected, {"f": b"hello"})
    said = [request.headers.get("if-none-match") for request in site.requests]
    assert said == [None, '"e"']


async def test_a_kept_zip_is_unpacked_again(filling: Filling, site: Site, cache: Path) -> None:
    site.pages["/z"] = versioned(zipped(("a", b"1")), '"e"')
    await filling.fill(archive_at(site.url("/z")))
    await filling.next_job()

    await filling.fill(archive_at(site.url("/z")))

    assert filling.found() == {"a": b"1"}


async def test_nothing_is_kept_unless_the_operator_wants_it(filling: Filling, site: Site) -> None:
    site.pages["/f"] = versioned(b"hello", '"e"')

    await filling.fill(single(site.url("/f")))
    await filling.fill(single(site.url("/f")))

    assert ["if-none-match" in request.headers for request in site.requests] == [False, False]


async def test_a_new_version_replaces_the_kept_one(
    filling: Filling, site: Site, cache: Path
) -> None:
    for content, etag in ((b"hello", '"1"'), (b"newer", '"2"'), (b"newer", '"2"')):
        site.pages["/f"] = versioned(content, etag)
        await filling.next_job()
        await filling.fill(single(site.url("/f")))
        assert filling.found() == {"f": content}

    said = [request.headers.get("if-none-match") for request in site.requests]
    assert said == [None, '"1"', '"2"']


@pytest.mark.parametrize(
    "headers", [{}, {"ETag": 'W/"e"'}, {"ETag": '"e"', "Cache_Control": "no-store"}]
)
async def test_what_the_server_does_not_identify_or_forbids_is_not_kept(
    filling: Filling, site: Site, cache: Path, headers: dict[str, str]
) -> None:
    site.pages["/f"] = answer(200, b"hello", **headers)

    await filling.fill(single(site.url("/f")))

    assert kept_in(cache) == []


async def test_a_wanted_digest_stands_for_an_etag(
    filling: Filling, site: Site, cache: Path
) -> None:
    half = answer(200, b"hel", claim=5)
    site.pages["/f"] = in_turn([answer(200, b"hello"), half])
    url = site.url(f"/f#sha256={HELLO}")
    await filling.fill(single(url))
    await filling.next_job()

    await filling.fill(single(url))

    assert filling.found() == {"f": b"hello"}
    assert len(site.requests) == 2


async def test_a_wanted_digest_opens_nothing_of_another_url(
    filling: Filling, site: Site, cache: Path
) -> None:
    site.pages["/private"] = answer(200, b"hello")
    site.pages["/claims"] = answer(200, b"wrong", ETag='"e"')
    await filling.fill(single(site.url(f"/private#sha256={HELLO}")))
    await filling.next_job()

    failure = await filling.refusal(single(site.url(f"/claims#sha256={HELLO}")))

    assert failure == refused(
        f"{site.url('/claims')}: its SHA-256 is {hashlib.sha256(b'wrong').hexdigest()}, not"
        f" {HELLO} as the job wants; correct the digest or the file"
    )


async def test_a_kept_file_with_another_digest_than_wanted_is_refused(
    filling: Filling, site: Site, cache: Path
) -> None:
    site.pages["/f"] = versioned(b"hello", '"e"')
    await filling.fill(single(site.url("/f")))
    await filling.next_job()
    wanted = "0" * 64

    failure = await filling.refusal(single(site.url(f"/f#sha256={wanted}")))

    assert failure == refused(
        f"{site.url('/f')}: its SHA-256 is {HELLO}, not {wanted} as the job wants; correct the"
        " digest or the file"
    )


async def test_a_kept_file_is_not_for_those_whom_the_server_refuses(
    filling: Filling, site: Site, cache: Path
) -> None:
    page = versioned(b"hello", '"e"')
    site.pages["/f"] = in_turn([page, answer(403)])
    await filling.fill(single(site.url("/f")))
    await filling.next_job()

    failure = await filling.refusal(single(site.url("/f")))

    assert failure == refused(f"{site.url('/f')}: the server answered 403")
    assert filling.found() == {}


async def test_a_damaged_copy_is_downloaded_again(
    filling: Filling, site: Site, cache: Path
) -> None:
    site.pages["/f"] = versioned(b"hello", '"e"')
    await filling.fill(single(site.url("/f")))
    await filling.next_job()
    (kept,) = kept_in(cache)
    kept.write_bytes(kept.read_bytes().replace(b"hello", b"HELLO"))

    await filling.fill(single(site.url("/f")))

    assert filling.found() == {"f": b"hello"}
    assert ["if-none-match" in request.headers for request in site.requests] == [False, False]


async def test_a_cache_that_cannot_be_written_fails_no_job(filling: Filling, site: Site) -> None:
    filling.configure(input_cache=Path("/proc/self/cache"))
    site.pages["/f"] = versioned(b"hello", '"e"')

    await filling.fill(single(site.url("/f")))

    assert filling.found() == {"f": b"hello"}


async def test_kept_bytes_count_against_the_budget(
    filling: Filling, site: Site, cache: Path
) -> None:
    site.pages["/f"] = versioned(b"hello", '"e"')
    await filling.fill(single(site.url("/f")))
    await filling.next_job()
    filling.configure(input_bytes=4)

    failure = await filling.refusal(single(site.url("/f")))

    assert failure == refused("The job's data is larger than the 4 bytes it may have in all.")
    assert filling.found() == {}


async def test_a_job_that_changes_its_input_does_not_change_the_kept_one(
    filling: Filling, site: Site, cache: Path
) -> None:
    site.pages["/f"] = versioned(b"hello", '"e"')
    for _ in range(3):
        await filling.next_job()
        await filling.fill(single(site.url("/f")))
        assert filling.found() == {"f": b"hello"}
        (filling.tree.volume.path / "f").write_bytes(b"HELLO")

    assert ["if-none-match" in request.headers for request in site.requests] == [
        False,
        True,
        True,
    ]

"""Whatever a server says, its file comes in whole, or a named failure within the limit."""

import asyncio
import gzip
from collections.abc import Callable

import pytest

from compute_horde_common.jobs.failures import JobFailure
from tests.filling import LATE, Filling, archive_at, refused, single
from tests.servers import (
    Handler,
    Site,
    answer,
    dripping,
    endless,
    in_turn,
    raw,
    silent,
)

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
NO_HTTP = "the server broke off or does not speak HTTP"
BUDGET = 100_000
TOO_LARGE = refused(f"The job's data is larger than the {BUDGET} bytes it may have in all.")


def half(**headers: str) -> Handler:
    return answer(200, b"hel", claim=5, **headers)


def goes_on(part: bytes, at: str, **headers: str) -> Handler:
    return answer(206, part, Content_Range=f"bytes {at}", **headers)


SERVERS: dict[str, tuple[Handler, str]] = {
    "refuses to resume for ever": (in_turn([half(), answer(416)]), "the server refuses to resume"),
    "refuses even the beginning": (answer(416), "the server refuses to resume"),
    "always breaks off": (half(), NO_HTTP),
    "hangs up at once": (raw(b""), NO_HTTP),
    "resumes somewhere else": (
        in_turn([half(), goes_on(b"XX", "1-2/5"), half(), goes_on(b"XX", "1-2/5")]),
        NO_HTTP,
    ),
    "changes the size": (
        in_turn([half(), goes_on(b"lo", "3-4/9"), goes_on(b"lo", "3-4/9")]),
        "the server answered 206",
    ),
    "sends a part without being asked": (goes_on(b"hello", "0-4/5"), "the server answered 206"),
    "says that nothing has changed": (answer(304), "the server answered 304"),
    "sends another part than it says": (
        in_turn([half(), answer(206, b"l", claim=1, Content_Range="bytes 3-4/5")]),
        "the server sent another range than asked for",
    ),
    "answers something else": (raw(b"SSH-2.0-OpenSSH_9.9\r\n"), NO_HTTP),
    "has two lengths": (
        raw(OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
        NO_HTTP,
    ),
    "has a negative length": (raw(OK + b"Content-Length: -5\r\n\r\nhello"), NO_HTTP),
    "has a chunk that is no number": (raw(CHUNKED + b"zz\r\nhello\r\n"), NO_HTTP),
    "breaks off in a chunk": (raw(CHUNKED + b"5\r\nhel"), NO_HTTP),
    "has a huge header": (raw(OK + b"X: " + b"x" * 300_000 + b"\r\n\r\n"), NO_HTTP),
    "has headers without end": (endless(OK, b"X: " + b"x" * 1000 + b"\r\n"), NO_HTTP),
    "has a first line without end": (endless(b"HTTP/1.1 200 ", b"O" * 1000), NO_HTTP),
    "has a header with a NUL": (raw(OK + b"X: a\0b\r\n\r\n"), NO_HTTP),
    "redirects to itself": (
        answer(302, Location="/f"),
        "it redirects more than 5 times",
    ),
    "redirects to a malformed URL": (
        answer(302, Location="http://[::1/"),
        NO_HTTP,
    ),
    "is missing the file": (answer(404), "the server answered 404"),
    "is broken": (answer(500), "the server answered 500"),
}


@pytest.mark.parametrize("what", SERVERS)
async def test_a_hostile_server_is_a_named_failure(filling: Filling, site: Site, what: str) -> None:
    page, why = SERVERS[what]
    site.pages["/f"] = page

    failure = await filling.refusal(single(site.url("/f")), seconds=20)

    assert failure.message.endswith(why)
    assert failure == refused(failure.message)
    assert list(filling.tree.scratch.walk()) == []
    assert len(site.requests) <= 6


SLOW: dict[str, Handler] = {
    "is silent": silent(),
    "is silent after the headers": silent(OK + b"Content-Length: 5\r\n\r\n"),
    "is silent in the body": silent(OK + b"Content-Length: 5\r\n\r\nhel"),
    "drips its headers": dripping(OK + b"X: "),
    "drips its body": dripping(OK + b"Content-Length: 50000\r\n\r\n"),
    "drips its chunks": dripping(CHUNKED, b"1\r\nx\r\n"),
    "drips its redirect": dripping(b"HTTP/1.1 302 Found\r\nLocation: /"),
}


@pytest.mark.parametrize("what", SLOW)
async def test_a_slow_server_ends_with_the_deadline(
    filling: Filling, site: Site, what: str
) -> None:
    site.pages["/f"] = SLOW[what]
    begun = asyncio.get_running_loop().time()

    assert await filling.refusal(single(site.url("/f")), seconds=0.3) == LATE
    assert asyncio.get_running_loop().time() - begun < 3
    assert list(filling.tree.scratch.walk()) == []


LARGE: dict[str, Handler] = {
    "announces too much": answer(200, b"x", claim=BUDGET + 1),
    "never ends its chunks": endless(CHUNKED, b"3e8\r\n" + b"x" * 1000 + b"\r\n"),
    "never ends its body": endless(OK + b"Connection: close\r\n\r\n", b"x" * 1000),
}


@pytest.mark.parametrize("kind", [single, archive_at])
@pytest.mark.parametrize("what", LARGE)
async def test_too_much_is_stopped_at_the_budget(
    filling: Filling, site: Site, what: str, kind: Callable[..., object]
) -> None:
    filling.configure(input_bytes=BUDGET)
    site.pages["/f"] = LARGE[what]

    failure: JobFailure = await filling.refusal(kind(site.url("/f")))  # type: ignore[arg-type]

    assert failure == TOO_LARGE
    assert list(filling.tree.scratch.walk()) == []


async def test_a_body_longer_than_announced_is_cut(filling: Filling, site: Site) -> None:
    site.pages["/f"] = answer(200, b"hello and more", claim=5)

    await filling.fill(single(site.url("/f")))

    assert filling.found() == {"f": b"hello"}


async def test_a_server_that_ignores_ranges_is_read_from_the_start(
    filling: Filling, site: Site
) -> None:
    site.pages["/f"] = in_turn([half(), answer(200, b"fresh")])

    await filling.fill(single(site.url("/f")))

    assert filling.found() == {"f": b"fresh"}


async def test_a_compressed_body_is_stored_as_it_was_sent(filling: Filling, site: Site) -> None:
    bomb = gzip.compress(bytes(10_000_000))
    filling.configure(input_bytes=BUDGET)
    site.pages["/f"] = answer(200, bomb, Content_Encoding="gzip")

    await filling.fill(single(site.url("/f")))

    assert filling.found() == {"f": bomb}
    assert [request.headers["accept-encoding"] for request in site.requests] == ["identity"]


async def test_a_target_that_leads_out_is_refused_before_anything_is_asked(
    filling: Filling, site: Site
) -> None:
    volume = single(site.url("/f")).model_copy(update={"relative_path": "../f"})

    assert await filling.refusal(volume) == refused(
        "Path '../f' is refused: it has the component '..'."
    )
    assert site.asked == []

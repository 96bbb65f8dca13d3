"""Whatever a server does, a download is complete and right, or a named error and no file."""

import pytest

from compute_horde_common.transfer.budget import Budget
from compute_horde_common.transfer.errors import (
    BudgetSpent,
    DownloadFailed,
    TransferError,
    TransferTimedOut,
    UnsafePath,
    UrlRefused,
)
from compute_horde_common.transfer.fetch import Fetched, Fetcher
from compute_horde_common.transfer.guard import AddressGuard
from compute_horde_common.transfer.tree import Folder
from tests.transfer.conftest import Answer, Web

OPEN = AddressGuard(allow_private=True)


async def fetch(
    url: str, folder: Folder, *, budget: Budget | None = None, within: float = 20, to: str = "f"
) -> Fetched:
    async with Fetcher(OPEN) as fetcher:
        return await fetcher.fetch(url, folder, to, budget=budget or Budget(1000), within=within)


async def failing(url: str, folder: Folder, kind: type[TransferError], within: float = 20) -> str:
    budget = Budget(1000)
    with pytest.raises(kind) as failed:
        await fetch(url, folder, budget=budget, within=within)
    assert list(folder.walk()) == []
    assert budget.left == 1000
    return str(failed.value)


async def test_a_body_arrives(web: Web, folder: Folder) -> None:
    web.will_say(200, b"hello", ETag='"e"')
    budget = Budget(1000)

    assert await fetch(f"{web.url}/x?sig=1", folder, budget=budget) == Fetched(5, '"e"')
    assert (folder.path / "f").read_bytes() == b"hello"
    assert budget.left == 995
    assert web.requests[0].target == "/x?sig=1"
    assert web.requests[0].headers["host"] == f"127.0.0.1:{web.port}"


async def test_a_body_of_unknown_length_arrives(web: Web, folder: Folder) -> None:
    web.answers.append(Answer(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello"))

    assert await fetch(web.url, folder) == Fetched(5, None)


async def test_a_broken_download_is_resumed(web: Web, folder: Folder) -> None:
    web.will_say(200, b"hel", claim=5, ETag='"e"')
    web.will_say(206, b"lo", Content_Range="bytes 3-4/5", ETag='"e"')

    assert await fetch(web.url, folder) == Fetched(5, '"e"')
    assert (folder.path / "f").read_bytes() == b"hello"
    assert web.requests[1].headers["range"] == "bytes=3-"
    assert web.requests[1].headers["if-range"] == '"e"'


async def test_a_server_that_does_not_resume_is_read_from_the_start(
    web: Web, folder: Folder
) -> None:
    web.will_say(200, b"hel", claim=5)
    web.will_say(200, b"fresh")
    budget = Budget(5)

    assert await fetch(web.url, folder, budget=budget) == Fetched(5, None)
    assert (folder.path / "f").read_bytes() == b"fresh"


@pytest.mark.parametrize(
    "continued",
    [
        {"Content_Range": "bytes 2-4/5"},
        {"Content_Range": "bytes 3-8/9"},
        {"Content_Range": "bytes 3-4/5", "ETag": '"other"'},
        {"Content_Range": "nonsense"},
    ],
)
async def test_a_range_that_does_not_fit_is_thrown_away(
    web: Web, folder: Folder, continued: dict[str, str]
) -> None:
    web.will_say(200, b"hel", claim=5)
    web.will_say(206, b"XX", claim=None, **continued)
    web.will_say(200, b"right")

    await fetch(web.url, folder)

    assert (folder.path / "f").read_bytes() == b"right"


async def test_a_download_that_always_breaks_ends_after_three_tries(
    web: Web, folder: Folder
) -> None:
    web.will_say(200, b"hel", claim=5)

    await failing(web.url, folder, DownloadFailed)

    assert len(web.requests) == 3


async def test_refused_ranges_without_end_end_after_three_tries(web: Web, folder: Folder) -> None:
    web.will_say(200, b"hel", claim=5)
    web.will_say(416)

    assert "resume" in await failing(web.url, folder, DownloadFailed)
    assert len(web.requests) == 3


async def test_a_missing_file_is_told_at_once_and_without_secrets(web: Web, folder: Folder) -> None:
    web.will_say(404)
    url = f"http://user:password@127.0.0.1:{web.port}/x?signature=secret#part"

    message = await failing(url, folder, DownloadFailed)

    assert message == f"http://127.0.0.1:{web.port}/x: the server answered 404"
    assert len(web.requests) == 1


async def test_a_busy_server_is_asked_again(web: Web, folder: Folder) -> None:
    web.will_say(503)
    web.will_say(200, b"hello")

    assert await fetch(web.url, folder) == Fetched(5, None)


async def test_an_announced_size_beyond_the_budget_is_not_downloaded(
    web: Web, folder: Folder
) -> None:
    web.will_say(200, b"", claim=1001)

    await failing(web.url, folder, BudgetSpent)


async def test_an_unannounced_size_beyond_the_budget_is_stopped(web: Web, folder: Folder) -> None:
    web.answers.append(Answer(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + bytes(1001)))

    await failing(web.url, folder, BudgetSpent)


async def test_two_downloads_share_one_budget(web: Web, folder: Folder) -> None:
    web.will_say(200, bytes(600))
    budget = Budget(1000)
    await fetch(web.url, folder, budget=budget)

    with pytest.raises(BudgetSpent):
        await fetch(web.url, folder, budget=budget, to="second")


async def test_a_server_that_stops_talking_is_left_at_the_deadline(
    web: Web, folder: Folder
) -> None:
    web.will_hang()

    await failing(web.url, folder, TransferTimedOut, within=0.2)


async def test_redirects_are_followed(web: Web, folder: Folder) -> None:
    web.will_say(302, Location="/there?x=1")
    web.will_say(200, b"hello")

    await fetch(web.url, folder)

    assert web.requests[1].target == "/there?x=1"


async def test_redirects_without_end_are_refused(web: Web, folder: Folder) -> None:
    web.will_say(302, Location="/again")

    await failing(web.url, folder, UrlRefused)

    assert len(web.requests) == 6


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/x"])
async def test_redirects_to_other_schemes_are_refused(
    web: Web, folder: Folder, location: str
) -> None:
    web.will_say(302, Location=location)

    await failing(web.url, folder, UrlRefused)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://x/y", "//host/x", "", "http://", "http://u:p@x:port/"]
)
async def test_urls_of_other_kinds_are_refused(folder: Folder, url: str) -> None:
    await failing(url, folder, UrlRefused)


async def test_rubbish_is_a_failed_download(web: Web, folder: Folder) -> None:
    web.answers.append(Answer(b"SSH-2.0-OpenSSH\r\n\r\n"))

    await failing(web.url, folder, DownloadFailed)


async def test_endless_headers_are_a_failed_download(web: Web, folder: Folder) -> None:
    web.answers.append(Answer(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000))

    await failing(web.url, folder, DownloadFailed)


async def test_nobody_listening_is_a_failed_download(folder: Folder) -> None:
    await failing("http://127.0.0.1:1/x", folder, DownloadFailed)


async def test_the_target_cannot_leave_its_folder(web: Web, folder: Folder) -> None:
    with pytest.raises(UnsafePath):
        await fetch(web.url, folder, to="../f")
    assert web.requests == []

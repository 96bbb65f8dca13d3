import asyncio
import errno
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path

from compute_horde_common.clock import HandWoundClock
from compute_horde_common.contrib.django.doctor.findings import Finding, fail, ok, warn
from compute_horde_common.contrib.django.doctor.machine import (
    SET_CLOCK,
    clock_is_right,
    disk_has_room,
    folder_is_usable,
)

MADE_UP = Path("/var/lib/jobs")
FREE_SOME = "Free some."
NOON = HandWoundClock().now() + timedelta(hours=12)


@asynccontextmanager
async def _says(date: str) -> AsyncIterator[str]:
    """A web server, whatever it is asked."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 404 Not Found\r\n{date}Content-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/version"


async def _ahead(seconds: float) -> tuple[str, Finding]:
    """What is found where our clock is so far ahead of a web server's."""
    clock = HandWoundClock(NOON + timedelta(seconds=seconds))
    async with _says(f"Date: {format_datetime(NOON, usegmt=True)}\r\n") as url:
        return url, await clock_is_right(clock, subnet=None, urls=["http://127.0.0.1:1/", url])


async def test_a_clock_that_agrees_with_a_web_server_is_right() -> None:
    url, finding = await _ahead(4)

    assert finding == ok(f"2026-01-01 12:00:04 UTC, as {url} says")


async def test_a_clock_that_is_a_little_fast_is_warned_of() -> None:
    url, finding = await _ahead(8)

    assert finding == warn(f"2026-01-01 12:00:08 UTC, 7 s or more ahead of {url}", SET_CLOCK)


async def test_a_clock_that_is_fast_fails() -> None:
    url, finding = await _ahead(12)

    assert finding == fail(f"2026-01-01 12:00:12 UTC, 11 s or more ahead of {url}", SET_CLOCK)


async def test_a_clock_that_is_slow_fails() -> None:
    url, finding = await _ahead(-60)

    assert finding == fail(f"2026-01-01 11:59:00 UTC, 60 s or more behind {url}", SET_CLOCK)


async def test_a_web_server_without_a_date_is_passed_by() -> None:
    async with _says("") as url:
        finding = await clock_is_right(HandWoundClock(NOON), subnet=None, urls=[url])

    assert finding == ok("2026-01-01 12:00:00 UTC; nobody could be asked")


@dataclass
class Room:
    """A disk of 100 GiB."""

    free: int
    total: int = 100 << 30


async def test_a_disk_with_room_is_well() -> None:
    finding = await disk_has_room(MADE_UP, advice=FREE_SOME, usage=lambda _: Room(50 << 30))

    assert finding == ok("/var/lib/jobs has 50.0 GiB of 100.0 GiB free")


async def test_a_disk_with_little_room_is_warned_of() -> None:
    finding = await disk_has_room(MADE_UP, advice=FREE_SOME, usage=lambda _: Room(9 << 30))

    assert finding == warn("/var/lib/jobs has 9.0 GiB of 100.0 GiB free", FREE_SOME)


async def test_a_full_disk_fails() -> None:
    finding = await disk_has_room(MADE_UP, advice=FREE_SOME, usage=lambda _: Room(1 << 20))

    assert finding == fail("/var/lib/jobs has 0.0 GiB of 100.0 GiB free", FREE_SOME)


async def test_a_folder_that_is_not_there_fails() -> None:
    finding = await disk_has_room(MADE_UP, advice=FREE_SOME)

    assert finding == fail(f"/var/lib/jobs: {os.strerror(errno.ENOENT)}", FREE_SOME)


async def test_a_folder_that_can_be_written_to_is_usable(tmp_path: Path) -> None:
    assert await folder_is_usable(tmp_path, advice=FREE_SOME) is None
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - beside a coroutine


async def test_a_folder_that_cannot_be_written_to_is_not_usable(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    finding = await folder_is_usable(file, advice=FREE_SOME)

    assert finding == fail(f"{file} cannot be written to: Not a directory", FREE_SOME)

"""The machine itself: its clock and its disks."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Protocol

from compute_horde_common.clock import Clock
from compute_horde_common.contrib.django.doctor.findings import Finding, fail, ok, warn
from compute_horde_common.contrib.django.doctor.subnet import SubnetLook
from compute_horde_common.contrib.django.doctor.web import NoAnswer, ask

LATE_WARNING = timedelta(seconds=5)
LATE_FAILURE = timedelta(seconds=10)
"""From here on, miners take no signature of a validator for a fresh one."""
BLOCK_TIME = timedelta(seconds=12)
TRAVEL_TIME = timedelta(seconds=6)
"""What the newest block takes to become the newest for everybody."""
LITTLE_BYTES = 10 << 30
TOO_LITTLE_BYTES = 1 << 30
_NONE = timedelta()
_SECOND = timedelta(seconds=1)
SET_CLOCK = (
    "Let the machine set its clock: `sudo timedatectl set-ntp true`, or install chrony. Containers"
    " have the clock of their machine."
)

MAKE_ROOM = (
    "Docker, the database and the logs are on this disk: `docker system df` shows what takes room,"
    " and `docker image prune --all` removes images that nobody uses."
)


@dataclass(frozen=True, slots=True)
class Witness:
    """Who says what the time is, and by how much our clock is ahead of that at least."""

    name: str
    ahead: timedelta


async def clock_is_right(
    clock: Clock, *, subnet: SubnetLook | None, urls: Sequence[str]
) -> Finding:
    """Compares the clock with the first web server that answers, or else with the newest block.

    Args:
        clock: ours.
        subnet: the chain, if it is used at all.
        urls: web servers; each tells the date with its answer.
    """
    witness = await _by_web(clock, urls) or await _by_block(clock, subnet)
    shown = f"{clock.now():%Y-%m-%d %H:%M:%S} UTC"
    if witness is None:
        return ok(f"{shown}; nobody could be asked")
    off = abs(witness.ahead)
    if off <= LATE_WARNING:
        return ok(f"{shown}, as {witness.name} says")
    direction = "ahead of" if witness.ahead > _NONE else "behind"
    found = f"{shown}, {off.total_seconds():.0f} s or more {direction} {witness.name}"
    return fail(found, SET_CLOCK) if off > LATE_FAILURE else warn(found, SET_CLOCK)


async def _by_web(clock: Clock, urls: Sequence[str]) -> Witness | None:
    for url in urls:
        asked = clock.now()
        try:
            answer = await ask(url)
            said = parsedate_to_datetime(answer.headers["date"])
        except (NoAnswer, LookupError, ValueError):
            continue
        # The date is cut to seconds, and was written between our question and its answer.
        return Witness(url, _outside(clock.now() - said, asked - said - _SECOND))
    return None


async def _by_block(clock: Clock, subnet: SubnetLook | None) -> Witness | None:
    made = await subnet.block_time() if subnet is not None else None
    if made is None:
        return None
    age = clock.now() - made
    return Witness("the newest block", _outside(age, age - BLOCK_TIME - TRAVEL_TIME))


def _outside(most: timedelta, least: timedelta) -> timedelta:
    """How far an interval is from 0."""
    if least > _NONE:
        return least
    return min(most, _NONE)


class Usage(Protocol):
    """What `shutil.disk_usage` returns."""

    @property
    def total(self) -> int: ...
    @property
    def free(self) -> int: ...


async def disk_has_room(
    path: Path, *, advice: str, usage: Callable[[Path], Usage] = shutil.disk_usage
) -> Finding:
    """Whether the disk on which ``path`` is has room; ``advice`` says what to clear out there."""
    try:
        measured = await asyncio.to_thread(usage, path)
    except OSError as error:
        return fail(f"{path}: {error.strerror}", advice)
    found = f"{path} has {_gigabytes(measured.free)} of {_gigabytes(measured.total)} free"
    if measured.free < TOO_LITTLE_BYTES:
        return fail(found, advice)
    return warn(found, advice) if measured.free < LITTLE_BYTES else ok(found)


async def folder_is_usable(path: Path, *, advice: str) -> Finding | None:
    """What keeps us from writing into a folder, if anything does."""
    return await asyncio.to_thread(_try_writing, path, advice)


def _try_writing(path: Path, advice: str) -> Finding | None:
    try:
        with tempfile.NamedTemporaryFile(dir=path, prefix="doctor-") as file:
            file.write(b"\0" * 4096)
            file.flush()
    except OSError as error:
        return fail(f"{path} cannot be written to: {error.strerror}", advice)
    return None


def _gigabytes(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB"

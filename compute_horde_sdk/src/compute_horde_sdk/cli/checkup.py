"""``horde doctor``: looks at all that a job needs, and says what to do about what is missing."""

import asyncio
import importlib
import importlib.metadata
import os
import platform
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx
from rich.text import Text

from compute_horde_common.clock import SystemClock
from compute_horde_common.python310 import StrEnum
from compute_horde_sdk._internal.client import DEFAULT_FACILITATOR_URL
from compute_horde_sdk._internal.http import base_url
from compute_horde_sdk.cli import printing, settings
from compute_horde_sdk.cli.connection import Connection
from compute_horde_sdk.cli.opening import new_client
from compute_horde_sdk.cli.printing import foreign
from compute_horde_sdk.cli.settings import Settings, opened_hotkey
from compute_horde_sdk.cli.trouble import WrongUsage
from compute_horde_sdk.v1 import ComputeHordeAPIError, ComputeHordeError

ANSWER_SECONDS = 10.0
ALLOWED_SKEW = timedelta(seconds=30)
_DOCKER = "unix:///var/run/docker.sock"


class Verdict(StrEnum):
    """What came of a check."""

    GOOD = "good"
    BAD = "bad"
    UNNEEDED = "unneeded"


_MARKS = {
    Verdict.GOOD: ("✓", "green"),
    Verdict.BAD: ("✗", "red"),
    Verdict.UNNEEDED: ("-", "dim"),
}


@dataclass(frozen=True)
class Check:
    """One thing that was looked at, and what to do where it is not well."""

    name: str
    verdict: Verdict
    found: str
    fix: str = ""


def doctor(connection: Connection) -> bool:
    """Prints all checks as they are made; whether all that is needed is well."""
    found = []
    for check in _checks(connection):
        found.append(check)
        if not connection.is_json:
            _print(check)
    if connection.is_json:
        printing.print_json([asdict(check) for check in found])
    return all(check.verdict != Verdict.BAD for check in found)


def _checks(connection: Connection) -> Iterator[Check]:
    version = importlib.metadata.version("compute-horde-sdk")
    yield Check(
        "version", Verdict.GOOD, f"compute-horde-sdk {version}, Python {platform.python_version()}"
    )
    try:
        chosen = connection.settings
    except WrongUsage as error:
        yield Check("profile", Verdict.BAD, error.message, error.fix)
        return
    yield _profile(connection)
    hotkey = _hotkey(chosen)
    yield hotkey
    yield _validator(chosen)
    reachable = list(_facilitator(chosen))
    yield from reachable
    if hotkey.verdict == reachable[0].verdict == Verdict.GOOD:
        yield asyncio.run(_login(chosen))
    yield _local()


def _profile(connection: Connection) -> Check:
    name, file = settings.profile_name(connection.profile), settings.config_file()
    if name in settings.read_profiles(file):
        return Check("profile", Verdict.GOOD, f"{name} in {file}")
    return Check(
        "profile", Verdict.UNNEEDED, "none is stored; flags and variables count", "Run: horde login"
    )


def _hotkey(chosen: Settings) -> Check:
    try:
        address = opened_hotkey(chosen).ss58_address
    except WrongUsage as error:
        return Check("hotkey", Verdict.BAD, error.message, error.fix)
    return Check("hotkey", Verdict.GOOD, f"{address} in {chosen.hotkey_file}")


def _validator(chosen: Settings) -> Check:
    if not chosen.validator:
        return Check(
            "validator", Verdict.BAD, "none is chosen", "Run `horde login`, or add --validator."
        )
    try:
        importlib.import_module("bittensor_wallet").Keypair(ss58_address=chosen.validator)
    except ValueError:
        return Check(
            "validator",
            Verdict.BAD,
            f"{chosen.validator} is no SS58 address",
            "Ask the validator's operator for its hotkey.",
        )
    return Check(
        "validator",
        Verdict.GOOD,
        f"{chosen.validator} (whether it is connected, the first job tells)",
    )


def _facilitator(chosen: Settings) -> Iterator[Check]:
    url = chosen.facilitator_url or DEFAULT_FACILITATOR_URL
    clock = SystemClock()
    began = clock.now()
    try:
        answer = httpx.get(f"{base_url(url)}/auth/nonce", timeout=ANSWER_SECONDS)
        answer.raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL, ComputeHordeError) as error:
        yield Check(
            "facilitator",
            Verdict.BAD,
            f"{url} gives no answer: {str(error) or type(error).__name__}",
            "Check the URL (--facilitator-url) and your network.",
        )
        return
    took = clock.now() - began
    yield Check("facilitator", Verdict.GOOD, f"{url} answers in {took.total_seconds():.2f} s")
    yield _skew(answer.headers.get("date"), began + took / 2)


def _skew(date: str | None, at: datetime) -> Check:
    try:
        skew = at - parsedate_to_datetime(date or "")
    except (TypeError, ValueError):
        return Check("clock", Verdict.UNNEEDED, "the facilitator does not say what the time is")
    seconds = skew.total_seconds()
    way = "ahead" if seconds > 0 else "behind"
    if abs(skew) > ALLOWED_SKEW:
        return Check(
            "clock",
            Verdict.BAD,
            f"this machine's clock is {abs(seconds):.0f} s {way}",
            "Set it, for example with: timedatectl set-ntp true",
        )
    return Check("clock", Verdict.GOOD, "agrees with the facilitator's")


async def _login(chosen: Settings) -> Check:
    async with new_client(chosen) as client:
        try:
            await client.authenticate()
        except ComputeHordeAPIError as error:
            return Check(
                "login",
                Verdict.BAD,
                f"refused: {error.detail}",
                "The facilitator's operator has to allow this hotkey.",
            )
        except ComputeHordeError as error:
            return Check("login", Verdict.BAD, str(error), "Try again in a minute.")
    return Check("login", Verdict.GOOD, "the hotkey may use the facilitator")


def _local() -> Check:
    address = os.environ.get("DOCKER_HOST") or _DOCKER
    try:
        importlib.metadata.version("compute-horde-executor")
        _ping(address)
    except importlib.metadata.PackageNotFoundError:
        return Check(
            "--local",
            Verdict.UNNEEDED,
            "is not installed",
            "Only for `horde run --local`: pip install 'compute-horde-sdk[cli,local]'",
        )
    except OSError as error:
        return Check(
            "--local",
            Verdict.UNNEEDED,
            f"no Docker answers at {address}: {error}",
            "Only for `horde run --local`: start Docker, or set DOCKER_HOST.",
        )
    return Check("--local", Verdict.GOOD, f"Docker answers at {address}")


def _ping(address: str) -> None:
    with _dialled(address) as connection:
        connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
        if b" 200 " not in connection.recv(len(b"HTTP/1.1 200 ")):
            raise OSError("something else answers there")


def _dialled(address: str) -> socket.socket:
    parts = urlsplit(address)
    if parts.scheme == "tcp":
        return socket.create_connection((parts.hostname, parts.port or 2375), ANSWER_SECONDS)
    if parts.scheme != "unix":
        raise OSError("only unix:// and tcp:// can be used")
    dialled = socket.socket(socket.AF_UNIX)
    try:
        dialled.settimeout(ANSWER_SECONDS)
        dialled.connect(parts.path)
    except OSError:
        dialled.close()
        raise
    return dialled


def _print(check: Check) -> None:
    mark, style = _MARKS[check.verdict]
    line = Text.assemble((mark, style), f" {check.name:<12} ", foreign(check.found))
    printing.out().print(line, soft_wrap=True)
    if check.fix:
        printing.out().print(foreign(f"{'':15}{check.fix}", "cyan"), soft_wrap=True)

"""Prints the services' logs, one after another or as they grow."""

import sys
from io import TextIOWrapper
from pathlib import Path

from compute_horde_devnet.processes import pause, tail
from compute_horde_devnet.state import ProcessInfo

_LOOK_SECONDS = 0.2


def follow(processes: list[ProcessInfo], *, lines: int, forever: bool) -> None:
    """Prints the last lines of each log and, if ``forever``, what is added to them."""
    ends: dict[Path, int] = {}
    for info in processes:
        if not info.log.exists():
            continue
        ends[info.log] = info.log.stat().st_size
        if text := tail(info.log, lines):
            _print(f"==> {info.name} <==\n{text}\n")
    while forever:
        for info in processes:
            with info.log.open(errors="replace") as grown:
                ends[info.log] = _print_new(info.name, grown, ends.get(info.log, 0))
        pause(_LOOK_SECONDS)


def _print_new(name: str, text: TextIOWrapper, start: int) -> int:
    text.seek(start)
    while line := text.readline():
        _print(f"{name:24} {line}")
    return text.tell()


def _print(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()

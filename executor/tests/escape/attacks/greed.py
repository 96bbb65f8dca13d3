"""Taking all of something that jobs share with their host. Runs inside the job; prints JSON."""

import errno
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

MIB = 1 << 20


def memory() -> None:
    """As much as there is."""
    taken: list[bytearray] = []
    while True:
        taken.append(bytearray(16 * MIB))


def memory_in_children() -> int:
    """As much as there is, by processes that are killed one by one while this one goes on."""
    if os.fork() == 0:
        memory()
    _, status = os.wait()
    return os.waitstatus_to_exitcode(status)


def fill(path: str, mebibytes: str) -> tuple[str, int]:
    """One file that large; what stopped it, and how large it became."""
    with Path(path).open("wb", buffering=0) as file:
        try:
            file.writelines(bytes(MIB) for _ in range(int(mebibytes)))
        except OSError as refusal:
            return errno.errorcode[refusal.errno or 0], file.tell() // MIB
        return "done", file.tell() // MIB


def stretch(mebibytes: str, *paths: str) -> list[str]:
    """Files that each claim to be that large, and hold nothing."""
    return [stretched(Path(path), int(mebibytes)) for path in paths]


def stretched(path: Path, mebibytes: int) -> str:
    with path.open("wb", buffering=0) as file:
        try:
            file.truncate(mebibytes * MIB)
        except OSError as refusal:
            return errno.errorcode[refusal.errno or 0]
        return "done"


def fill_with_many(folder: str, mebibytes: str) -> None:
    """Files of one MiB each, for ever once they are all there."""
    for number in range(int(mebibytes)):
        Path(f"{folder}/big{number}").write_bytes(os.urandom(MIB))
    while True:
        signal.pause()


def burn(processes: str, seconds: str) -> float:
    """Processor seconds that so many processes get in that time."""
    end = time.monotonic() + float(seconds)
    for _ in range(int(processes)):
        if os.fork() == 0:
            while time.monotonic() < end:
                pass
            os._exit(0)
    for _ in range(int(processes)):
        os.wait()
    times = os.times()
    return times.children_user + times.children_system


def multiply(wanted: str) -> tuple[str, int]:
    """So many processes that wait; what stopped it, and how many there are."""
    held, _ = os.pipe()
    for made in range(int(wanted)):
        try:
            child = os.fork()
        except OSError as refusal:
            return errno.errorcode[refusal.errno or 0], made
        if child == 0:
            os.read(held, 1)
    return "done", int(wanted)


def open_files(wanted: str) -> tuple[str, int]:
    held: list[int] = []
    try:
        while len(held) < int(wanted):
            held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as refusal:
        return errno.errorcode[refusal.errno or 0], len(held)
    return "done", len(held)


if __name__ == "__main__":
    take: Callable[..., object] = globals()[sys.argv[1]]
    print(json.dumps(take(*sys.argv[2:])), flush=True)  # noqa: T201 - the job's answer
    os._exit(0)

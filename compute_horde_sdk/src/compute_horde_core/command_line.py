"""What the two programs of this package have in common: JSON files, a folder, and a coroutine."""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from compute_horde_sdk._internal.errors import ComputeHordeError, ComputeHordeValidationError

T = TypeVar("T")


def main(
    program: str, adapter: TypeAdapter[T], folder: str, work: Callable[[T, Path], Awaitable[object]]
) -> None:
    """Reads what the command line names, and does ``work`` with each; exits with 1 if it fails."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}")
    parser.add_argument("input", nargs="+", type=Path, help="a file with the JSON of one")
    parser.add_argument("-d", "--dir", type=Path, default=Path(folder), help="default: %(default)s")
    asked = parser.parse_args()
    try:
        asyncio.run(_all(asked.input, asked.dir, adapter, work))
    except (ComputeHordeError, OSError) as error:
        sys.exit(f"{parser.prog}: {error}")


async def _all(
    files: list[Path],
    folder: Path,
    adapter: TypeAdapter[T],
    work: Callable[[T, Path], Awaitable[object]],
) -> None:
    for file in files:
        await work(_read(file, adapter), folder)


def _read(file: Path, adapter: TypeAdapter[T]) -> T:
    try:
        return adapter.validate_json(file.read_bytes())
    except ValidationError as error:
        raise ComputeHordeError(f"{file}: {ComputeHordeValidationError.of(error)}") from error

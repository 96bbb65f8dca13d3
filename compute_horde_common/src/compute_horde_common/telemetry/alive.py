"""A sign of life for processes without a web server: a file, touched while they make progress.

A container's health check looks at its age (docker/entrypoint). Without ``ALIVE_FILE`` in the
environment there is none.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

SECONDS = 10.0


def touch() -> None:
    """Says that this process is alive. A file that cannot be written fails the health check."""
    if path := os.environ.get("ALIVE_FILE"):
        with suppress(OSError):
            Path(path).touch()


@asynccontextmanager
async def signs_of_life() -> AsyncIterator[None]:
    """Says so every `SECONDS`, for as long as the event loop runs and the block lasts."""
    signs = asyncio.create_task(_touch_for_ever())
    try:
        yield
    finally:
        signs.cancel()


async def _touch_for_ever() -> None:
    while True:
        touch()
        await asyncio.sleep(SECONDS)

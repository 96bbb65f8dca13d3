"""Who takes part in the conversations. Each side has its own tables, as each service does."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from enum import StrEnum
from typing import ParamSpec, TypeVar

from compute_horde_common.contrib.django.db import in_database

P = ParamSpec("P")
R = TypeVar("R")

PATIENCE = 5.0
"""How long a test waits for what has to happen, in seconds."""


class Side(StrEnum):
    """A service, and the PostgreSQL schema of its own."""

    FACILITATOR = "facilitator"
    VALIDATOR = "validator"
    MINER = "miner"
    NOBODY = "public"


_speaker: ContextVar[Side] = ContextVar("speaker", default=Side.NOBODY)


def speaker() -> Side:
    """On whose side the present code is."""
    return _speaker.get()


@contextmanager
def speaking_as(side: Side) -> Iterator[None]:
    """Everything in the block is on a side; connections to the database begin in it, too."""
    before = _speaker.set(side)
    try:
        yield
    finally:
        _speaker.reset(before)


def as_side(side: Side, talk: Coroutine[object, object, R]) -> asyncio.Task[R]:
    """Starts ``talk``, and whatever it starts itself, on a side."""
    context = copy_context()
    context.run(_speaker.set, side)
    return asyncio.create_task(talk, context=context)


def at(side: Side, function: Callable[P, R]) -> Callable[P, Awaitable[R]]:
    """A service's function, called on the service's own side."""

    async def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return await in_database(function)(*args, **kwargs)

    return lambda *args, **kwargs: as_side(side, call(*args, **kwargs))


async def until(side: Side, holds: Callable[[], bool]) -> None:
    """Returns once the rows of a side are as they should be."""
    look = at(side, holds)
    async with asyncio.timeout(PATIENCE):
        while not await look():  # noqa: ASYNC110 - what is waited for is a row
            await asyncio.sleep(0.005)

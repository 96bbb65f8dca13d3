"""The way from a conversation, which is asynchronous, to a service function, which is not."""

from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar, cast

from channels.db import database_sync_to_async

P = ParamSpec("P")
R = TypeVar("R")


def in_database(function: Callable[P, R]) -> Callable[P, Awaitable[R]]:
    """``function`` for use in asynchronous code: it runs in a thread of its own, and gives its
    database connection back to the pool when it is done."""
    return cast(
        "Callable[P, Awaitable[R]]", database_sync_to_async(function, thread_sensitive=False)
    )

"""Sockets inside the network namespace of a container, for a process outside it.

A socket belongs to the namespace in which it was made, whoever uses it afterwards. So one thread
enters the container's namespace, stays there, and makes sockets on demand.
"""

import asyncio
import ctypes
import os
import socket
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

_NEW_NETWORK = 0x40000000  # CLONE_NEWNET, linux/sched.h


class NoEntry(Exception):
    """The namespace cannot be entered: this process may not, or the container has ended."""


class Inside:
    """The way into one namespace."""

    def __init__(self, thread: ThreadPoolExecutor) -> None:
        self._thread = thread

    async def connect(self, address: tuple[str, int]) -> socket.socket:
        """A connection between two ends inside; ``OSError`` where nobody listens."""
        loop = asyncio.get_running_loop()
        return await _connected(await loop.run_in_executor(self._thread, _new_socket), address)


async def connect(address: tuple[str, int]) -> socket.socket:
    """A connection from our own namespace; ``OSError`` where nobody listens."""
    return await _connected(_new_socket(), address)


@asynccontextmanager
async def entered(path: str) -> AsyncIterator[Inside]:
    """The way into the namespace at ``path``, closed at the end of the block.

    Raises:
        NoEntry: it cannot be entered.
    """
    thread = ThreadPoolExecutor(1, "namespace")
    try:
        await asyncio.get_running_loop().run_in_executor(thread, _enter, path)
        yield Inside(thread)
    finally:
        thread.shutdown(wait=False)


def _enter(path: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as failure:
        raise NoEntry(f"{path}: {failure.strerror}") from None
    try:
        if libc.setns(descriptor, _NEW_NETWORK):
            raise NoEntry(f"{path}: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(descriptor)


async def _connected(made: socket.socket, address: tuple[str, int]) -> socket.socket:
    try:
        await asyncio.get_running_loop().sock_connect(made, address)
    except BaseException:
        made.close()
        raise
    return made


def _new_socket() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setblocking(False)
    return made

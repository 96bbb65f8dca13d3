"""An event loop on a thread of its own, and calls into it from others."""

import asyncio
import atexit
import contextlib
import os
import queue
import threading
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from concurrent.futures import CancelledError, Future
from typing import TypeVar

import anyio
from anyio.from_thread import BlockingPortal

from compute_horde_sdk._internal.errors import ComputeHordeError

T = TypeVar("T")


class Portal:
    """Runs coroutines for threads that wait. The loop starts with the first call, and ends with the
    program at the latest: its thread does not keep that alive."""

    def __init__(self) -> None:
        # The garbage collector may close an iterator of ours while the lock is held.
        self._lock = threading.RLock()
        self._loop: _Loop | None = None
        self._closed = False

    def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """The outcome of ``work()``. A Ctrl-C meanwhile ends the work, too.

        Raises:
            ComputeHordeError: this is closed, or gets closed meanwhile.
        """
        with _ending(self._started(work)) as future:
            return future.result()

    def call_with_callbacks(self, work: Callable[["Callbacks"], Awaitable[T]]) -> T:
        """The same for work that calls back: what it calls runs in the caller's thread."""
        callbacks = Callbacks()
        with _ending(self._started(lambda: work(callbacks))) as future:
            future.add_done_callback(lambda _: callbacks.close())
            callbacks.serve()
            return future.result()

    def iterate(self, items: AsyncGenerator[T, None]) -> Iterator[T]:
        """The items, each asked for when it is wanted."""
        while True:
            # Whatever ends this call closes the items, too.
            try:
                item = self.call(items.__anext__)
            except StopAsyncIteration:
                return
            try:
                yield item
            except BaseException:
                with contextlib.suppress(ComputeHordeError):
                    self.call(items.aclose)
                raise

    def close(self, last: Callable[[], Awaitable[None]] | None = None) -> None:
        """Runs ``last``, ends all calls that still wait, and the loop. Closing twice is harmless.

        Raises:
            ComputeHordeError: a coroutine on the loop itself closes it.
        """
        with self._lock:
            loop = self._loop
            if self._closed or loop is None or loop.process != os.getpid():
                self._closed = True
                return
            loop.check()
            self._closed = True
        try:
            if last is not None:
                loop.portal.call(last)
        finally:
            loop.end()

    def _started(self, work: Callable[[], Awaitable[T]]) -> "Future[T]":
        with self._lock:
            if self._closed:
                raise ComputeHordeError("this client is closed; make a new ComputeHordeSyncClient")
            if self._loop is None:
                self._loop = _Loop()
                _OPEN.add(self)
                weakref.finalize(self, self._loop.end_soon).atexit = False
            self._loop.check()
            return self._loop.portal.start_task_soon(work)


class _Loop:
    """The loop, and the thread that it has."""

    def __init__(self) -> None:
        started: Future[BlockingPortal] = Future()

        async def serve() -> None:
            async with BlockingPortal() as portal:
                started.set_result(portal)
                await portal.sleep_until_stopped()

        self.process = os.getpid()
        self._thread = threading.Thread(
            target=anyio.run, args=(serve,), name="compute-horde-sdk", daemon=True
        )
        self._thread.start()
        self.portal = started.result()

    def check(self) -> None:
        """Raises ``ComputeHordeError`` where waiting for the loop would never end."""
        if self._thread.ident == threading.get_ident():
            raise ComputeHordeError(
                "a coroutine of a ComputeHordeSyncClient cannot use that client; give a plain"
                " function instead"
            )
        if self.process != os.getpid():
            raise ComputeHordeError(
                "this process was forked off the one that used this client; make a new"
                " ComputeHordeSyncClient in it"
            )

    def end_soon(self) -> None:
        """Ends it without waiting for that: nobody is left who could use it."""
        with contextlib.suppress(RuntimeError):
            self.portal.start_task_soon(self.portal.stop, True)

    def end(self) -> None:
        """Ends all that runs on it."""
        self.portal.call(self.portal.stop, True)
        self._thread.join()


_OPEN: "weakref.WeakSet[Portal]" = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    # A little later, at the interpreter's end, loops stand still, and waiting for one never ends.
    for portal in list(_OPEN):
        portal.close()


class Callbacks:
    """Calls that work on the loop wants made in the thread that waits for it."""

    def __init__(self) -> None:
        self._wanted: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()

    async def make(self, callback: Callable[[], T | Awaitable[T]]) -> T:
        """What a callback returns; what it raises is raised here. One that is a coroutine function
        is awaited here."""
        answer: Future[T | Awaitable[T]] = Future()
        self._wanted.put(lambda: _answered(answer, callback))
        said = await asyncio.wrap_future(answer)
        return await said if isinstance(said, Awaitable) else said

    def serve(self) -> None:
        """Makes the calls until `close`."""
        while (wanted := self._wanted.get()) is not None:
            wanted()

    def close(self) -> None:
        """No call will follow."""
        self._wanted.put(None)


def _answered(answer: "Future[T]", callback: Callable[[], T]) -> None:
    if not answer.set_running_or_notify_cancel():
        return
    try:
        answer.set_result(callback())
    except StopIteration as error:
        # Has a meaning of its own to a loop.
        answer.set_exception(RuntimeError(f"a callback raised {error!r}"))
    except Exception as error:  # noqa: BLE001
        # A user's function may raise anything; it ends the work, as it does on a loop.
        answer.set_exception(error)


@contextlib.contextmanager
def _ending(future: "Future[T]") -> "Iterator[Future[T]]":
    """A block that waits for work, which ends with it at the latest."""
    try:
        yield future
    except CancelledError:
        raise ComputeHordeError("this client was closed while it worked") from None
    except BaseException:
        future.cancel()
        raise

"""Wake-ups between processes: "look at this topic again". They carry no data and may get lost;
who waits for one also looks from time to time.

Every process subscribes to one Redis channel, in one thread, and picks out its own topics there.
Wake-ups within a process do not go through Redis. Publishing happens in a thread, so `wake`
blocks nobody even while Redis is away.
"""

import asyncio
import atexit
import os
import threading
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog
from django.conf import settings
from django.db import transaction
from redis import Redis
from redis.backoff import NoBackoff
from redis.client import PubSub
from redis.exceptions import RedisError
from redis.retry import Retry

from compute_horde_common.clock import Clock, SystemClock

REDIS_LIMIT_SECONDS = 2.0
RECONNECT_SECONDS = 0.5
SUBSCRIBE_LIMIT_SECONDS = 1.0
LISTEN_SECONDS = 30.0
MAX_PENDING = 10_000
FLUSH_LIMIT_SECONDS = 1.0

log = structlog.get_logger(__name__)


class Ear:
    """Hears wake-ups of its topics. Several between two waits count as one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        self._subscribed = asyncio.Event()

    async def wait(self, within: float) -> bool:
        """Whether there was a wake-up since the last wait, or came one in ``within`` seconds."""
        try:
            async with self._clock.timeout(within):
                await self._woken.wait()
        except TimeoutError:
            return False
        self._woken.clear()
        return True

    async def settled(self) -> None:
        """Returns once Redis is listened to, or is known to be away."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SUBSCRIBE_LIMIT_SECONDS):
                await self._subscribed.wait()

    def ring(self) -> None:
        """A wake-up, from any thread."""
        self._from_any_thread(self._woken)

    def settle(self) -> None:
        """Lets `settled` return, from any thread."""
        self._from_any_thread(self._subscribed)

    def _from_any_thread(self, event: asyncio.Event) -> None:
        with suppress(RuntimeError):  # the ear's loop is gone, and the ear with it
            self._loop.call_soon_threadsafe(event.set)


def wake(topic: str) -> None:
    """Wakes whoever listens to ``topic``, in any process. Never raises and never blocks."""
    switchboard = _switchboard()
    switchboard.ring(topic)
    switchboard.publish(topic)


def wake_on_commit(topic: str) -> None:
    """Like `wake`, once the transaction in which this is called is committed."""
    transaction.on_commit(lambda: wake(topic))


@asynccontextmanager
async def listening(*topics: str, clock: Clock | None = None) -> AsyncIterator[Ear]:
    """An ear for ``topics``. Look at the state of things after entering, and after every wait."""
    ear = Ear(clock or SystemClock())
    switchboard = _switchboard()
    switchboard.add(ear, topics)
    try:
        await ear.settled()
        yield ear
    finally:
        switchboard.remove(ear, topics)


class _Switchboard:
    """One process's ears, and its two threads to Redis."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._origin = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._ears: defaultdict[str, set[Ear]] = defaultdict(set)
        self._pending: dict[str, None] = {}
        self._news = threading.Condition(self._lock)
        self._threads: set[str] = set()
        self._subscription_known = False
        self._publishing = False

    def add(self, ear: Ear, topics: tuple[str, ...]) -> None:
        with self._lock:
            for topic in topics:
                self._ears[topic].add(ear)
            known = self._subscription_known
            self._start("subscriber")
        if known:
            ear.settle()

    def remove(self, ear: Ear, topics: tuple[str, ...]) -> None:
        with self._lock:
            for topic in topics:
                self._ears[topic].discard(ear)
                if not self._ears[topic]:
                    del self._ears[topic]

    def ring(self, topic: str) -> None:
        with self._lock:
            ears = list(self._ears.get(topic, ()))
        for ear in ears:
            ear.ring()

    def publish(self, topic: str) -> None:
        with self._lock:
            if len(self._pending) >= MAX_PENDING:
                log.warning("wake-up dropped", topic=topic)
                return
            self._pending[topic] = None
            self._start("publisher")
            self._news.notify_all()

    def flush(self) -> None:
        """Waits a moment for pending wake-ups to be published."""
        with self._lock:
            self._news.wait_for(
                lambda: not self._pending and not self._publishing, FLUSH_LIMIT_SECONDS
            )

    def _start(self, name: str) -> None:
        if name in self._threads:
            return
        self._threads.add(name)
        run = self._publish_forever if name == "publisher" else self._subscribe_forever
        threading.Thread(target=run, name=f"mailbox-{name}", daemon=True).start()

    def _publish_forever(self) -> None:
        redis = _redis(REDIS_LIMIT_SECONDS)
        channel = _channel(redis)
        while True:
            with self._lock:
                self._publishing = False
                self._news.notify_all()
                self._news.wait_for(lambda: bool(self._pending))
                topics, self._pending = list(self._pending), {}
                self._publishing = True
            for topic in topics:
                self._publish_one(redis, channel, topic)

    def _publish_one(self, redis: Redis, channel: str, topic: str) -> None:
        try:
            redis.publish(channel, f"{self._origin} {topic}")
        except RedisError as error:
            log.warning("wake-up lost", topic=topic, error=str(error))

    def _subscribe_forever(self) -> None:
        pause = threading.Event()
        redis = _redis(None)
        while True:
            try:
                self._subscribe(redis)
            except (RedisError, OSError) as error:
                if self._ears:
                    log.warning("mailbox disconnected", error=str(error))
                self._settle_all()
                pause.wait(RECONNECT_SECONDS)

    def _subscribe(self, redis: Redis) -> None:
        with PubSub(redis.connection_pool) as subscription:
            subscription.subscribe(_channel(redis))
            while True:
                message = subscription.get_message(timeout=LISTEN_SECONDS)
                if message is None:
                    subscription.ping()
                elif message["type"] == "subscribe":
                    self._settle_all()
                elif message["type"] == "message":
                    self._heard(message["data"])

    def _heard(self, data: bytes) -> None:
        origin, _, topic = data.decode(errors="replace").partition(" ")
        if origin != self._origin:
            self.ring(topic)

    def _settle_all(self) -> None:
        """What was sent while we did not listen is lost, so everybody looks once."""
        with self._lock:
            first = not self._subscription_known
            self._subscription_known = True
            ears = {ear for group in self._ears.values() for ear in group}
        for ear in ears:
            ear.settle()
            if not first:
                ear.ring()


_switchboards: list[_Switchboard] = []


def _switchboard() -> _Switchboard:
    """This process's; a forked child gets one of its own, since threads do not survive a fork."""
    if not _switchboards or _switchboards[-1].pid != os.getpid():
        _switchboards[:] = [_Switchboard()]
    return _switchboards[-1]


@atexit.register
def _flush_at_exit() -> None:
    if _switchboards and _switchboards[-1].pid == os.getpid():
        _switchboards[-1].flush()


def _redis(limit: float | None) -> Redis:
    return Redis.from_url(
        settings.REDIS_URL,
        socket_connect_timeout=REDIS_LIMIT_SECONDS,
        socket_timeout=limit,
        retry=Retry(NoBackoff(), 0),
    )


def _channel(redis: Redis) -> str:
    """Pub/sub knows no databases; services that share a Redis differ in number or in name."""
    database = redis.connection_pool.connection_kwargs.get("db", 0)
    return f"horde.mailbox.{database}.{settings.ROOT_URLCONF.partition('.')[0]}"

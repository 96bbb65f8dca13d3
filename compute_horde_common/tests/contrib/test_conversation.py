"""The consumer, driven as an ASGI server drives it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from compute_horde_common.contrib.django.conversation import (
    ConsumerPipe,
    Converse,
    conversation_consumer,
)
from compute_horde_common.links.link import LinkClosed

MAX_FRAME = 100
QUEUE = 4
LIMIT = 5.0
SCOPE = {
    "type": "websocket",
    "path": "/v0/talk/",
    "headers": [(b"X-Hotkey", b"5Abc")],
    "client": ["10.0.0.7", 4711],
    "subprotocols": ["other", "horde.2", "horde.1"],
    "url_route": {"kwargs": {"hotkey": "5Abc"}},
}


class Peer:
    """What a server and the peer behind it do."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def says(self, *texts: str) -> None:
        for text in texts:
            self._events.put_nowait({"type": "websocket.receive", "text": text})

    def says_bytes(self, data: bytes) -> None:
        self._events.put_nowait({"type": "websocket.receive", "bytes": data})

    def leaves(self, code: int = 1001) -> None:
        self._events.put_nowait({"type": "websocket.disconnect", "code": code})

    async def hears(self) -> dict[str, Any]:
        async with asyncio.timeout(LIMIT):
            return await self._answers.get()

    @asynccontextmanager
    async def connected(
        self, converse: Converse, subprotocols: tuple[str, ...] = ()
    ) -> AsyncIterator[asyncio.Task[None]]:
        application = conversation_consumer(
            converse, max_frame=MAX_FRAME, queue_size=QUEUE, subprotocols=subprotocols
        )
        self._events.put_nowait({"type": "websocket.connect"})
        running = asyncio.ensure_future(
            application(dict(SCOPE), self._events.get, self._answers.put)
        )
        try:
            yield running
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
def peer() -> Peer:
    return Peer()


async def echo(pipe: ConsumerPipe) -> None:
    while True:
        await pipe.send_text(await pipe.receive_text())


async def wait_for_ever(pipe: ConsumerPipe) -> None:
    await asyncio.Event().wait()


async def test_frames_come_and_go(peer: Peer) -> None:
    async with peer.connected(echo):
        peer.says("one", "two")

        assert [await peer.hears() for _ in range(3)] == [
            {"type": "websocket.accept", "subprotocol": None},
            {"type": "websocket.send", "text": "one"},
            {"type": "websocket.send", "text": "two"},
        ]


async def test_the_handshake_is_known_to_the_conversation(peer: Peer) -> None:
    async def look(pipe: ConsumerPipe) -> None:
        scope = pipe.scope
        await pipe.send_text(
            f"{scope.headers['x-hotkey']} {scope.kwargs['hotkey']} {scope.client} {scope.path}"
        )

    async with peer.connected(look, ("horde.1", "horde.2")):
        accepted, answer = await peer.hears(), await peer.hears()

    assert accepted["subprotocol"] == "horde.2"
    assert answer["text"] == "5Abc 5Abc 10.0.0.7 /v0/talk/"


async def test_the_socket_is_closed_when_the_conversation_is_over(peer: Peer) -> None:
    async def once(pipe: ConsumerPipe) -> None:
        await pipe.receive_text()

    async with peer.connected(once) as running:
        peer.says("bye")
        await peer.hears()

        assert (await peer.hears())["code"] == 1000
        await running


async def test_a_conversation_that_fails_closes_the_socket_with_1011(peer: Peer) -> None:
    async def fail(pipe: ConsumerPipe) -> None:
        raise ZeroDivisionError

    async with peer.connected(fail) as running:
        await peer.hears()

        assert (await peer.hears())["code"] == 1011
        await running


async def test_links_that_close_in_a_task_group_are_no_failure(peer: Peer) -> None:
    async def grouped(pipe: ConsumerPipe) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(wait_for_ever(pipe))
            group.create_task(echo(pipe))

    async with peer.connected(grouped) as running:
        await peer.hears()
        peer.leaves()
        await running

    assert peer._answers.empty()


@pytest.mark.parametrize("frame", ["x" * (MAX_FRAME + 1), "ü" * (MAX_FRAME // 2 + 1)])
async def test_a_frame_over_the_limit_closes_the_socket(peer: Peer, frame: str) -> None:
    async with peer.connected(echo):
        await peer.hears()
        peer.says(frame)

        assert (await peer.hears())["code"] == 1009


async def test_a_binary_frame_closes_the_socket(peer: Peer) -> None:
    async with peer.connected(echo):
        await peer.hears()
        peer.says_bytes(b"x")

        assert (await peer.hears())["code"] == 1008


async def test_more_frames_than_may_wait_close_the_socket(peer: Peer) -> None:
    async with peer.connected(wait_for_ever):
        await peer.hears()
        peer.says(*["x"] * (QUEUE + 1))

        assert (await peer.hears())["code"] == 1008


async def test_what_a_peer_said_before_it_left_is_still_heard(peer: Peer) -> None:
    heard: list[str | int | None] = []

    async def slow(pipe: ConsumerPipe) -> None:
        await asyncio.sleep(0)
        try:
            heard.extend([await pipe.receive_text(), await pipe.receive_text()])
            await pipe.receive_text()
        except LinkClosed as closed:
            heard.append(closed.code)

    async with peer.connected(slow) as running:
        peer.says("the", "result")
        peer.leaves(1001)
        await running

    assert heard == ["the", "result", 1001]


async def test_a_conversation_that_saw_its_peer_leave_and_goes_on_is_cancelled(
    peer: Peer,
) -> None:
    cancelled = asyncio.Event()

    async def deaf(pipe: ConsumerPipe) -> None:
        try:
            await pipe.receive_text()
        except LinkClosed:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

    async with peer.connected(deaf) as running:
        peer.leaves()
        await running

    assert cancelled.is_set()

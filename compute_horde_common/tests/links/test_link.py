"""`Link` over a pair of pipes."""

import asyncio

import pytest

from compute_horde_common.clock import HandWoundClock, SystemClock
from compute_horde_common.links.link import (
    MAX_EARLY_MESSAGES,
    MAX_MALFORMED_FRAMES,
    Link,
    LinkClosed,
    LinkTimeout,
    Pipe,
    TooMuchRubbish,
)
from compute_horde_common.links.memory import pipe_pair
from compute_horde_common.protocol.base import encode
from tests.links.talk import CODEC, Complaint, Hello, Question, Words

SOON = 1.0


def complain(reason: str) -> Complaint:
    return Complaint(reason=reason)


@pytest.fixture
def pipes() -> tuple[Pipe, Pipe]:
    return pipe_pair()


@pytest.fixture
def peer(pipes: tuple[Pipe, Pipe]) -> Pipe:
    return pipes[1]


@pytest.fixture
def link(pipes: tuple[Pipe, Pipe]) -> Link[Words, Words]:
    return Link(pipes[0], CODEC, clock=SystemClock(), complain=complain)


async def test_what_one_end_sends_the_other_receives(link: Link[Words, Words], peer: Pipe) -> None:
    other: Link[Words, Words] = Link(peer, CODEC, clock=SystemClock())

    await link.send(Hello(name="miner"))

    assert await other.receive(within=SOON) == Hello(name="miner")


async def test_expect_leaves_other_messages_for_later(link: Link[Words, Words], peer: Pipe) -> None:
    await peer.send_text(encode(Question(about="early")))
    await peer.send_text(encode(Hello()))

    expected = await link.expect(Hello, within=SOON)
    kept = await link.expect(Complaint, Question, within=SOON)

    assert (expected, kept) == (Hello(), Question(about="early"))


async def test_receive_takes_early_messages_first(link: Link[Words, Words], peer: Pipe) -> None:
    for message in (Question(), Hello(), Complaint(reason="")):
        await peer.send_text(encode(message))
    await link.expect(Hello, within=SOON)

    received = [await link.receive(within=SOON), await link.receive(within=SOON)]

    assert received == [Question(), Complaint(reason="")]


async def test_a_silent_peer_is_a_timeout_that_says_what_was_waited_for(peer: Pipe) -> None:
    clock = HandWoundClock()
    link: Link[Words, Words] = Link(pipe_pair()[0], CODEC, clock=clock)
    waiting = asyncio.create_task(link.expect(Hello, Question, within=30))

    await clock.advance(29)
    assert not waiting.done()
    await clock.advance(1)

    with pytest.raises(LinkTimeout) as caught:
        await waiting
    assert (caught.value.waited_for, caught.value.seconds) == (("Hello", "Question"), 30)


@pytest.mark.parametrize("frame", ["", "{", "null", '{"kind": "other"}', '{"kind": 1}', "\x00"])
async def test_a_malformed_frame_is_complained_about_and_passed_over(
    link: Link[Words, Words], peer: Pipe, frame: str
) -> None:
    await peer.send_text(frame)
    await peer.send_text(encode(Hello()))

    assert await link.receive(within=SOON) == Hello()
    assert isinstance(CODEC.decode(await peer.receive_text()), Complaint)


async def test_too_many_malformed_frames_close_the_link(
    link: Link[Words, Words], peer: Pipe
) -> None:
    for _ in range(MAX_MALFORMED_FRAMES + 1):
        await peer.send_text("rubbish")

    with pytest.raises(TooMuchRubbish):
        await link.receive(within=SOON)
    with pytest.raises(LinkClosed):
        await peer.send_text("more")


async def test_too_many_messages_out_of_turn_close_the_link(
    link: Link[Words, Words], peer: Pipe
) -> None:
    for _ in range(MAX_EARLY_MESSAGES + 1):
        await peer.send_text(encode(Question()))

    with pytest.raises(TooMuchRubbish):
        await link.expect(Hello, within=SOON)


async def test_heartbeats_are_no_messages(link: Link[Words, Words], peer: Pipe) -> None:
    for text in ("PING", "PING", encode(Hello())):
        await peer.send_text(text)

    assert await link.receive(within=SOON) == Hello()


async def test_messages_of_other_conversations_are_dropped(
    pipes: tuple[Pipe, Pipe], peer: Pipe
) -> None:
    link: Link[Words, Words] = Link(
        pipes[0], CODEC, clock=SystemClock(), relevant=lambda message: message != Hello(name="you")
    )
    await peer.send_text(encode(Hello(name="you")))
    await peer.send_text(encode(Hello(name="me")))

    assert await link.receive(within=SOON) == Hello(name="me")


async def test_iteration_ends_when_the_peer_closes(link: Link[Words, Words], peer: Pipe) -> None:
    await peer.send_text(encode(Hello()))
    await peer.close()

    assert [message async for message in link] == [Hello()]


async def test_closing_says_code_and_reason_at_both_ends(
    link: Link[Words, Words], peer: Pipe
) -> None:
    await link.close(4000, "enough")

    with pytest.raises(LinkClosed) as there:
        await peer.receive_text()
    with pytest.raises(LinkClosed) as here:
        await link.receive(within=SOON)
    assert {(end.value.code, end.value.reason) for end in (there, here)} == {(4000, "enough")}

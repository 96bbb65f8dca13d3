"""The hand-wound clock."""

import asyncio
from datetime import timedelta

import pytest

from compute_horde_common.clock import HandWoundClock


async def test_sleepers_wake_when_their_time_comes(hand_wound_clock: HandWoundClock) -> None:
    due = hand_wound_clock.now() + timedelta(seconds=10)
    sleeping = asyncio.create_task(hand_wound_clock.sleep_until(due))

    await hand_wound_clock.advance(9)
    early = sleeping.done()
    await hand_wound_clock.advance(1)

    assert (early, sleeping.done(), hand_wound_clock.now()) == (False, True, due)


async def test_a_block_that_takes_too_long_times_out(hand_wound_clock: HandWoundClock) -> None:
    async def block() -> None:
        async with hand_wound_clock.timeout(5):
            await asyncio.Event().wait()

    running = asyncio.create_task(block())
    await hand_wound_clock.advance(5)

    with pytest.raises(TimeoutError):
        await running


async def test_a_block_that_ended_in_time_is_left_alone(hand_wound_clock: HandWoundClock) -> None:
    async with hand_wound_clock.timeout(5):
        pass

    await hand_wound_clock.advance(10)

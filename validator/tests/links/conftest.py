"""A job that streams, and what its conversation needs."""

import asyncio
from datetime import datetime

import pytest

from compute_horde_common.chain.keys import Hotkey, public_key_of, verify
from compute_horde_common.clock import HandWoundClock
from tests.links.scripted import PATIENCE, UUID_TEXT, ListDesk, MemoryDial, PassTime
from tests.samples import MakeSpec
from validator.domain.assignments import Assignment, JobCase, Terms
from validator.domain.phases import Budget
from validator.domain.routing import Miner
from validator.links.office import Office
from validator.services import attempts


@pytest.fixture
def office(alice: Hotkey, hand_wound_clock: HandWoundClock) -> Office:
    return Office(alice, public_key_of(alice.ss58), verify, hand_wound_clock)


@pytest.fixture
def terms() -> Terms:
    return Terms(reservation=7, startup=10, routing=10, allow_private=True, trusted_miner=None)


@pytest.fixture
def job(make_spec: MakeSpec, alice: Hotkey, at: datetime) -> Assignment:
    """A job that streams, so that it goes through every phase."""
    spec = make_spec(streaming_details={"public_key": "pem"}, env={"A": "1"})
    budget = Budget.of(spec, reservation=7, startup=10)
    case = JobCase(UUID_TEXT, spec)
    miner = Miner("miner", "192.0.2.1", 1)
    return Assignment(
        attempt=1,
        case=case,
        miner_hotkey=miner.hotkey,
        host=miner.host,
        port=miner.port,
        offer=attempts.signed_offer(case, miner.hotkey, budget, alice, at),
        budget=budget,
        started_at=at,
    )


@pytest.fixture
def desk(job: Assignment, office: Office) -> ListDesk:
    return ListDesk(job, office)


@pytest.fixture
def dial(hand_wound_clock: HandWoundClock) -> MemoryDial:
    return MemoryDial(hand_wound_clock)


@pytest.fixture
def pass_time(hand_wound_clock: HandWoundClock) -> PassTime:
    """Winds the clock until a task has ended."""

    async def until_done(task: "asyncio.Task[None]") -> None:
        async with asyncio.timeout(PATIENCE):
            while not task.done():
                await hand_wound_clock.advance(1)

    return until_done

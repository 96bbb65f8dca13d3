"""A job that streams, and what its conversation needs."""

import asyncio
from datetime import datetime

import pytest

from compute_horde_common.chain.interface import Address, Metagraph, Neuron
from compute_horde_common.chain.keys import Hotkey, public_key_of, verify
from compute_horde_common.clock import HandWoundClock
from compute_horde_common.contrib.django.db import in_database
from tests.links.dispatching import DispatcherIn, NeverWaits, Serve, Subnet, Take
from tests.links.scripted import (
    PATIENCE,
    UUID_TEXT,
    ListDesk,
    MemoryDial,
    PassTime,
    Redial,
    ScriptedMiner,
)
from tests.samples import MakeRequest, MakeSpec
from validator.domain.assignments import Assignment, JobCase, Terms
from validator.domain.phases import Budget
from validator.domain.routing import Miner
from validator.links.dispatch import Dispatcher
from validator.links.newsroom import Newsroom
from validator.links.office import Office
from validator.services import attempts, jobs, subnet


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


@pytest.fixture
def redial(dial: MemoryDial, hand_wound_clock: HandWoundClock) -> Redial:
    """Winds the clock until there is another socket, and gives the miner's end of it."""

    async def wind() -> ScriptedMiner:
        async with asyncio.timeout(PATIENCE):
            while dial.unanswered == 0:
                await hand_wound_clock.advance(0.25)
        return await dial.socket()

    return wind


@pytest.fixture
def quick_office(office: Office) -> Office:
    """The same, with the machine's clock, and without pauses."""
    return Office(office.signer, office.public_key, office.verify, NeverWaits())


@pytest.fixture
def net(dial: MemoryDial) -> Subnet:
    return Subnet(dial)


@pytest.fixture
def dispatcher_in(quick_office: Office, terms: Terms, net: Subnet) -> DispatcherIn:
    newsroom = Newsroom(quick_office.clock)
    return lambda group: Dispatcher(
        group, office=quick_office, terms=terms, dial=net, newsroom=newsroom
    )


@pytest.fixture
def serve(quick_office: Office) -> Serve:
    """Puts miners with one executor each on the chain."""

    def on_chain(*hosts: str, offering: int = 1) -> None:
        now = quick_office.clock.now()
        neurons = tuple(
            Neuron(uid, f"hot-{host}", "cold", 0.0, Address(host, 80), False, 0)
            for uid, host in enumerate(hosts)
        )
        subnet.store_metagraph(Metagraph(12, 1, "0x", neurons), now)
        for host in hosts:
            subnet.store_manifest(f"hot-{host}", {"always_on.test": offering}, now)

    return in_database(on_chain)


@pytest.fixture
def take(make_request: MakeRequest, quick_office: Office) -> Take:
    """Takes the next job of a user of ours; it streams, so it goes through every phase."""
    numbers = iter(range(100))

    async def next_job() -> JobCase:
        request = make_request(
            quick_office.signer, timestamp_ns=next(numbers), streaming_details={"public_key": "pem"}
        )
        take = in_database(jobs.take)
        case = await take(
            request,
            own=quick_office.signer.ss58,
            verify=quick_office.verify,
            at=quick_office.clock.now(),
        )
        assert case is not None
        return case

    return next_job

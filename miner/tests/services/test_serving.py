"""A miner that takes no new jobs: what it offers, declines, goes on with and announces."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from compute_horde_common.chain.interface import Address, Neuron
from compute_horde_common.chain.keys import Hotkey
from compute_horde_common.chain.memory import InMemoryChain
from compute_horde_common.contrib.django import serving
from compute_horde_common.contrib.django.db import in_database
from compute_horde_common.jobs.failures import RejectionReason
from compute_horde_common.protocol.base import encode
from compute_horde_common.protocol.validator_miner import DeclineJob
from miner import tasks, wiring
from miner.models import Job, Slot
from miner.services import hosts, jobs
from miner.services.jobs import Attached
from tests import examples, fleet_of_rows, jobs_of_rows

pytestmark = pytest.mark.django_db


def offered(validator: Hotkey, at: datetime) -> object:
    offer = examples.offer(validator, at)
    return jobs.take(offer, encode(offer), validator=validator.ss58, socket="socket", at=at)


def test_nothing_of_each_class_is_offered_and_then_all_again(at: datetime) -> None:
    classes = {examples.CLASS: 2, "spin_up-4min.gpu-24gb": 1}

    serving.switch_off("upgrade", at)
    off = hosts.offered(classes)
    serving.switch_on("", at)

    assert off == {examples.CLASS: 0, "spin_up-4min.gpu-24gb": 0}
    assert hosts.offered(classes) == classes


def test_a_job_is_declined_as_busy_with_what_runs_as_the_excuse(
    alice: Hotkey, at: datetime
) -> None:
    fleet_of_rows.slots(2)
    running = jobs_of_rows.taken(alice, at)
    serving.switch_off("upgrade", at)

    answer = offered(alice, at)

    assert isinstance(answer, DeclineJob)
    assert (answer.reason, answer.message) == (
        RejectionReason.BUSY,
        "this miner takes no new jobs now",
    )
    assert [receipt.payload.job_uuid for receipt in answer.receipts] == [running.job_uuid]
    assert (Job.objects.count(), Slot.objects.exclude(lease=None).count()) == (1, 1)


def test_jobs_are_taken_again_once_it_serves(alice: Hotkey, at: datetime) -> None:
    fleet_of_rows.slots()
    serving.switch_off("upgrade", at)
    declined = offered(alice, at)

    serving.switch_on("", at)

    assert isinstance(declined, DeclineJob)
    assert isinstance(offered(alice, at), Attached)


def test_what_runs_goes_on_to_its_end_and_may_be_resumed(alice: Hotkey, at: datetime) -> None:
    fleet_of_rows.slots()
    fleet_of_rows.warm(at)
    offer = jobs_of_rows.taken(alice, at)
    serving.switch_off("upgrade", at)

    resumed = jobs.take(offer, encode(offer), validator=alice.ss58, socket="another socket", at=at)
    jobs.say(offer.job_uuid, examples.ready(offer), at)
    start = examples.start(offer)
    fault = jobs.start(start, encode(start), validator=alice.ss58, at=at)
    jobs_of_rows.finish(offer, at)

    assert (resumed, fault) == (Attached(offer.job_uuid), None)
    assert jobs_of_rows.kinds(offer)[-1] == "JobFinished"


def test_a_job_is_open_until_its_validator_has_fetched_the_result(
    alice: Hotkey, at: datetime
) -> None:
    offer, _ = jobs_of_rows.running(alice, at)
    runs = jobs.still_open(at)
    jobs_of_rows.finish(offer, at)
    ended = jobs.still_open(at)
    jobs.close(examples.finished(offer, alice, at), validator=alice.ss58, at=at)

    assert runs == [f"{offer.job_uuid} started"]
    assert ended == [f"{offer.job_uuid} ended, not fetched by its validator yet"]
    assert jobs.still_open(at) == []


def test_a_validator_that_does_not_come_back_is_waited_for_a_minute(
    alice: Hotkey, at: datetime
) -> None:
    offer, _ = jobs_of_rows.running(alice, at)
    jobs_of_rows.finish(offer, at)

    soon = jobs.still_open(at + timedelta(seconds=59))

    assert len(soon) == 1
    assert jobs.still_open(at + timedelta(seconds=60)) == []


@pytest.fixture
def chain(bob: Hotkey) -> Iterator[InMemoryChain]:
    """Shows another server at our hotkey."""
    there = Neuron(0, bob.ss58, "cold", 0.0, Address("192.0.2.1", 8000), False, 0)
    yield InMemoryChain([there], hotkey=bob.ss58)
    wiring.remember_announced("")


@pytest.mark.django_db(transaction=True)
async def test_the_address_is_announced_only_while_it_serves(
    chain: InMemoryChain, at: datetime
) -> None:
    async def find_address() -> str:
        return "192.0.2.2"

    await in_database(serving.switch_off)("the other server serves", at)
    changed = [await tasks.announce(find_address, lambda: chain)]
    shown = [(await chain.metagraph()).neurons[0].axon]
    await in_database(serving.switch_on)("", at)
    changed.append(await tasks.announce(find_address, lambda: chain))
    shown.append((await chain.metagraph()).neurons[0].axon)

    assert changed == [False, True]
    assert shown == [Address("192.0.2.1", 8000), Address("192.0.2.2", 8000)]

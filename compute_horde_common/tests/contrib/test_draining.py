"""What the command ``drain`` says and how it ends, whatever the service's jobs are."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from typing_extensions import override

from compute_horde_common.clock import HandWoundClock
from compute_horde_common.contrib.django import serving
from compute_horde_common.contrib.django.draining import DrainCommand, idle

WITHIN = 5.0


class Drain(DrainCommand):
    def __init__(self, *answers: Sequence[str]) -> None:
        super().__init__(stdout=StringIO())
        self._answers = [list(answer) for answer in answers]

    @override
    def open_jobs(self, at: datetime) -> Sequence[str]:
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    @property
    def said(self) -> list[str]:
        return str(self.stdout._out.getvalue()).splitlines()


@pytest.mark.django_db(transaction=True)
def test_serving_is_off_once_nothing_runs() -> None:
    drain = Drain([])

    call_command(drain)

    assert drain.said == ["Serving is off: no new jobs are taken.", "No job runs."]
    assert (serving.is_serving(), serving.state().reason) == (False, "drain")


@pytest.mark.django_db(transaction=True)
def test_who_drains_twice_waits_again_and_the_first_reason_counts() -> None:
    call_command(Drain([]), "--reason", "the upgrade to 0.2.0")
    again = Drain([])

    call_command(again, "--reason", "another")

    assert again.said == ["Serving was off already: the upgrade to 0.2.0.", "No job runs."]
    assert serving.state().reason == "the upgrade to 0.2.0"


@pytest.mark.django_db(transaction=True)
def test_what_still_runs_in_the_end_is_named() -> None:
    drain = Drain(["a started", "b ready"])

    with pytest.raises(CommandError) as error:
        call_command(drain, "--wait", "0")

    assert (error.value.returncode, str(error.value)) == (
        1,
        "After 0 s there is still work. Serving stays off. 2 jobs run: a started; b ready",
    )
    assert not serving.is_serving()


@pytest.mark.django_db(transaction=True)
def test_the_end_of_draining_takes_jobs_again_and_may_be_said_twice() -> None:
    drain = Drain([])
    call_command(drain)

    call_command(drain, "--end")
    call_command(drain, "--end")

    assert drain.said[2:] == ["Serving is on: new jobs are taken.", "Serving was on already."]
    assert serving.is_serving()


@pytest.mark.django_db(transaction=True)
def test_a_drain_for_one_reason_is_not_ended_for_another() -> None:
    drain = Drain([])
    call_command(drain, "--reason", "this server is moved")

    call_command(drain, "--end", "--reason", "upgrade")
    stayed_off = not serving.is_serving()
    call_command(drain, "--end", "--reason", "this server is moved")

    assert stayed_off
    assert serving.is_serving()
    assert drain.said[2:] == [
        "Serving stays off: it was switched off for another reason: this server is moved.",
        "Serving is on: new jobs are taken.",
    ]


async def test_each_change_of_what_runs_is_told_once(hand_wound_clock: HandWoundClock) -> None:
    told: list[str] = []
    jobs = [["a ready", "b started"], ["a ready", "b started"], ["b started"], []]
    drain = Drain(*jobs)

    waiting = asyncio.create_task(
        idle(drain.open_jobs, hand_wound_clock, within=60, tell=told.append)
    )
    async with asyncio.timeout(WITHIN):
        while not waiting.done():
            await hand_wound_clock.advance(1)

    assert await waiting == []
    assert told == ["2 jobs run: a ready; b started", "1 job runs: b started", "No job runs."]


async def test_waiting_ends_in_time_with_what_still_runs(hand_wound_clock: HandWoundClock) -> None:
    began = hand_wound_clock.now()
    drain = Drain(["a started"])

    waiting = asyncio.create_task(
        idle(drain.open_jobs, hand_wound_clock, within=3, tell=lambda _: None)
    )
    async with asyncio.timeout(WITHIN):
        while not waiting.done():
            await hand_wound_clock.advance(1)

    assert await waiting == ["a started"]
    assert (hand_wound_clock.now() - began).total_seconds() >= 3

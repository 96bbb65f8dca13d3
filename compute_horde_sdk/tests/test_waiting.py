import asyncio
from datetime import timedelta

import httpx
import pytest

from compute_horde_common.clock import HandWoundClock
from compute_horde_sdk.v1 import (
    ComputeHordeAPIError,
    ComputeHordeClient,
    ComputeHordeError,
    ComputeHordeJob,
    ComputeHordeJobStatusEntry,
    ComputeHordeJobTimeoutError,
    ComputeHordeValidationError,
)
from tests.conftest import ASKING, BOTH_WAYS
from tests.facilitator import FakeFacilitator
from tests.winding import wound

LIFE = ["sent", "received", "accepted", "executor_ready", "volumes_ready", "execution_done"]
POLL_SECONDS = 0.5


@BOTH_WAYS
async def test_waiting_ends_with_the_job(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    job = await client.get_job(facilitator.add_job(*LIFE, "completed").uuid)

    await wound(clock, job.wait())

    assert job.status == "completed"
    assert job.result is not None
    assert [entry.status for entry in job.status_history] == [*LIFE, "completed"]


@ASKING
async def test_the_end_is_noticed_within_half_a_second(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    known = facilitator.add_job()
    job = await client.get_job(known.uuid)
    waiting = asyncio.ensure_future(job.wait())
    await clock.advance(0)
    for _ in range(200):
        await clock.advance(0.1)
    known.history.append("completed")

    asked = len(facilitator.calls)
    for _ in range(5):
        await clock.advance(0.1)

    assert waiting.done()
    assert len(facilitator.calls) == asked + 1


async def test_a_job_that_has_ended_is_not_asked_for(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    job = await client.get_job(facilitator.add_job("sent", "failed").uuid)

    await job.wait(timeout=0)

    assert len(facilitator.calls) == 1


@BOTH_WAYS
@pytest.mark.parametrize("seconds", [0.3, 1, 2.0, 7])
async def test_a_timeout_comes_on_time(
    client: ComputeHordeClient,
    facilitator: FakeFacilitator,
    clock: HandWoundClock,
    seconds: float,
) -> None:
    job = await client.get_job(facilitator.add_job().uuid)
    waiting = asyncio.ensure_future(job.wait(timeout=seconds))

    for _ in range(round(seconds / 0.1) - 1):
        await clock.advance(0.1)
    assert not waiting.done()
    await clock.advance(0.1)

    assert waiting.done()
    with pytest.raises(ComputeHordeJobTimeoutError, match=f"complete within {seconds} s") as told:
        await waiting
    assert isinstance(told.value, TimeoutError)
    assert told.value.job_uuid == job.uuid


@BOTH_WAYS
async def test_no_time_at_all_is_enough_to_ask_once(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    ended = await client.get_job(facilitator.add_job("sent", "received", "completed").uuid)
    running = await client.get_job(facilitator.add_job().uuid)

    await ended.wait(timeout=0)
    with pytest.raises(ComputeHordeJobTimeoutError):
        await running.wait(timeout=-1)


@BOTH_WAYS
async def test_a_job_that_ends_just_in_time_is_no_timeout(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    known = facilitator.add_job()
    job = await client.get_job(known.uuid)
    waiting = asyncio.ensure_future(job.wait(timeout=2))
    await clock.advance(0.1)
    for _ in range(18):
        await clock.advance(0.1)
    known.history.append("completed")

    await clock.advance(0.1)

    await waiting
    assert job.status == "completed"


async def test_a_facilitator_that_falls_silent_does_not_stop_the_timeout(
    facilitator: FakeFacilitator, clock: HandWoundClock, client: ComputeHordeClient
) -> None:
    known = facilitator.add_job()

    async def answer(request: httpx.Request) -> httpx.Response:
        if len(facilitator.calls) > 0:
            await asyncio.Event().wait()
        return facilitator.answer(request)

    silent = ComputeHordeClient(
        client.hotkey,
        client.compute_horde_validator_hotkey,
        facilitator_url="http://facilitator",
        clock=clock,
        transport=httpx.MockTransport(answer),
    )
    async with silent:
        job = await silent.get_job(known.uuid)
        began = clock.now()
        with pytest.raises(ComputeHordeJobTimeoutError):
            await wound(clock, job.wait(timeout=2))

    assert clock.now() - began < timedelta(seconds=8)


@pytest.mark.parametrize("seconds", [float("nan"), "5", [1]], ids=repr)
async def test_a_timeout_that_is_no_number_is_refused(
    client: ComputeHordeClient, facilitator: FakeFacilitator, seconds: float
) -> None:
    job = await client.get_job(facilitator.add_job().uuid)

    with pytest.raises(ComputeHordeValidationError) as refused:
        await job.wait(timeout=seconds)

    assert refused.value.field == "timeout"


@BOTH_WAYS
async def test_an_endless_timeout_is_none(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    job = await client.get_job(facilitator.add_job("sent", "received", "completed").uuid)

    await wound(clock, job.wait(timeout=float("inf")))

    assert job.status == "completed"


@ASKING
async def test_trouble_ends_the_wait(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    job = await client.get_job(facilitator.add_job().uuid)
    facilitator.trouble.append(httpx.Response(403))

    with pytest.raises(ComputeHordeAPIError):
        await wound(clock, job.wait())


@BOTH_WAYS
async def test_each_status_is_told_once_and_in_order(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    known = facilitator.add_job(*LIFE, "completed")
    known.history, known.later = known.later[:3], known.later[3:]
    told: list[tuple[ComputeHordeJob, str]] = []
    job = await client.get_job(known.uuid)

    def callback(of: ComputeHordeJob, entry: ComputeHordeJobStatusEntry) -> None:
        told.append((of, entry.status))

    await wound(clock, job.wait(status_callback=callback))

    assert told == [(job, status) for status in [*LIFE[1:], "completed"]]


@BOTH_WAYS
async def test_a_coroutine_is_told_and_awaited(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    told: list[str] = []
    job = await client.get_job(facilitator.add_job("sent", "received", "completed").uuid)

    async def callback(_: ComputeHordeJob, entry: ComputeHordeJobStatusEntry) -> None:
        await asyncio.sleep(0)
        told.append(entry.status)

    await wound(clock, job.wait(status_callback=callback))

    assert told == ["sent", "received", "completed"]


@BOTH_WAYS
async def test_the_last_status_before_a_timeout_is_told(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    known = facilitator.add_job()
    told: list[str] = []
    job = await client.get_job(known.uuid)
    known.history.append("received")

    with pytest.raises(ComputeHordeJobTimeoutError):
        await job.wait(timeout=0, status_callback=lambda _, entry: told.append(entry.status))

    assert told == ["sent", "received"]


@BOTH_WAYS
async def test_what_a_callback_raises_ends_the_wait(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    job = await client.get_job(facilitator.add_job().uuid)

    def callback(*_: object) -> None:
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        await job.wait(status_callback=callback)


@BOTH_WAYS
async def test_waiting_for_streaming_ends_when_the_server_can_be_reached(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    known = facilitator.add_job("sent", "accepted", "volumes_ready", "streaming_ready")
    known.members = {
        "streaming_server_cert": "PEM",
        "streaming_server_address": "203.0.113.7",
        "streaming_server_port": 6006,
    }
    job = await client.get_job(known.uuid)

    await wound(clock, job.wait_for_streaming(timeout=10))

    address = (job.streaming_server_cert, job.streaming_server_address, job.streaming_server_port)
    assert job.status.is_streaming_ready()
    assert address == ("PEM", "203.0.113.7", 6006)


async def test_a_job_that_has_gone_on_since_it_was_ready_is_waited_for_no_longer(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    known = facilitator.add_job("streaming_ready", "execution_done")
    job = await client.get_job(known.uuid)

    await job.wait_for_streaming(timeout=0)

    assert len(facilitator.calls) == 1


@BOTH_WAYS
@pytest.mark.parametrize("end", ["completed", "rejected", "failed", "horde_failed"])
async def test_a_job_that_has_ended_will_never_stream(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock, end: str
) -> None:
    before = await client.get_job(facilitator.add_job("sent", end).uuid)
    meanwhile = await client.get_job(facilitator.add_job("sent", "received", end).uuid)

    for job in (before, meanwhile):
        with pytest.raises(ComputeHordeError, match=f"{job.uuid} .*{end}") as told:
            await wound(clock, job.wait_for_streaming())
        assert not isinstance(told.value, TimeoutError)


@BOTH_WAYS
async def test_waiting_for_streaming_has_a_timeout_too(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    job = await client.get_job(facilitator.add_job().uuid)

    with pytest.raises(ComputeHordeJobTimeoutError, match="within 3 seconds"):
        await wound(clock, job.wait_for_streaming(timeout=3))


async def test_refreshing_keeps_the_keys_and_replaces_the_rest(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    known = facilitator.add_job("sent", "received", "completed")
    job = await client.get_job(known.uuid)
    certificate = object()
    job.streaming_public_cert = certificate  # type: ignore[assignment]  # any object will do

    await job.refresh_from_facilitator()

    assert job.status == "completed"
    assert job.streaming_public_cert is certificate


async def test_a_job_without_history_has_no_status(client: ComputeHordeClient) -> None:
    job = ComputeHordeJob(client, "u")

    with pytest.raises(ComputeHordeError, match="u has no status yet"):
        _ = job.status
    assert repr(job) == "<ComputeHordeJob: 'u'>"

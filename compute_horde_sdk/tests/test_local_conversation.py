"""What is said to executors that do not behave, on a real websocket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from compute_horde_common.clock import HandWoundClock
from compute_horde_common.jobs.lifecycle import JobStatus
from compute_horde_common.protocol.base import encode
from compute_horde_common.protocol.live import CANCEL_SECONDS, JOB_CONTROL
from compute_horde_common.protocol.miner_executor import HostUnfit
from compute_horde_common.protocol.rest import JobCreate
from compute_horde_common.protocol.validator_miner import ExecutorReady
from compute_horde_sdk._internal.local.conversation import Conversation
from compute_horde_sdk._internal.local.door import door
from compute_horde_sdk._internal.local.job import LocalJob

UUID = "6f9a1c02-0000-4000-8000-000000000000"
PATH = "/v0.1/executor_interface/"


@pytest.fixture
def job(clock: HandWoundClock) -> LocalJob:
    asked = JobCreate(
        target_validator_hotkey="local",
        docker_image="alpine:3.20",
        download_time_limit=1,
        execution_time_limit=2,
        upload_time_limit=3,
        streaming_start_time_limit=4,
    )
    made = LocalJob(UUID, asked, clock)
    made.move(JobStatus.ACCEPTED)
    return made


@asynccontextmanager
async def _talking(
    job: LocalJob, clock: HandWoundClock
) -> AsyncIterator[tuple[Conversation, ClientConnection]]:
    """Our end of a conversation, and the executor's."""
    speaks = [Subprotocol(JOB_CONTROL)]
    async with (
        door("token") as (address, arrival),
        connect(f"{address}{PATH}token", subprotocols=speaks) as executor,
    ):
        yield Conversation(await arrival, job, clock), executor


async def test_nobody_comes_in_with_another_token() -> None:
    async with door("token") as (address, _):
        with pytest.raises(InvalidStatus, match="404"):
            async with connect(f"{address}{PATH}other"):
                pass


async def test_an_unfit_host_is_heard_although_the_executor_has_left(
    job: LocalJob, clock: HandWoundClock
) -> None:
    async with _talking(job, clock) as (conversation, executor):
        await executor.send(encode(HostUnfit(reasons=["no disk"])))
        await executor.close()

        assert await conversation.faults() == ["no disk"]


async def test_an_executor_that_leaves_without_a_word_is_an_error(
    job: LocalJob, clock: HandWoundClock
) -> None:
    async with _talking(job, clock) as (conversation, executor):
        await executor.close()

        with pytest.raises(ConnectionClosed):
            await conversation.faults()


async def test_an_executor_that_is_silent_beyond_all_limits_is_given_up(
    job: LocalJob, clock: HandWoundClock
) -> None:
    async with _talking(job, clock) as (conversation, executor):
        holding = asyncio.create_task(conversation.hold(asyncio.Event(), 100.0))
        await executor.recv()
        await clock.advance(100.0)
        await holding

    assert job.status is JobStatus.ACCEPTED


async def test_an_executor_that_does_not_cancel_is_given_up_soon(
    job: LocalJob, clock: HandWoundClock
) -> None:
    cancelled = asyncio.Event()
    async with _talking(job, clock) as (conversation, executor):
        holding = asyncio.create_task(conversation.hold(cancelled, 100.0))
        offer = str(await executor.recv())
        cancelled.set()
        cancellation = str(await executor.recv())
        await clock.advance(CANCEL_SECONDS)
        await holding

    assert ("V0InitialJobRequest" in offer, "V0JobCancelRequest" in cancellation) == (True, True)


async def test_the_job_is_told_to_an_executor_that_is_ready_for_it(
    job: LocalJob, clock: HandWoundClock
) -> None:
    async with _talking(job, clock) as (conversation, executor):
        holding = asyncio.create_task(conversation.hold(asyncio.Event(), 100.0))
        await executor.recv()
        await executor.send(encode(ExecutorReady(job_uuid=UUID)))
        start = str(await executor.recv())
        await executor.close()
        await holding

    assert "V0JobRequest" in start
    assert job.status is JobStatus.EXECUTOR_READY

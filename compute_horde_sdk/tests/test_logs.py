import asyncio

import httpx
import pytest

from compute_horde_common.clock import HandWoundClock
from compute_horde_sdk.v1 import (
    ComputeHordeClient,
    ComputeHordeError,
    ComputeHordeJob,
    ComputeHordeLogPage,
    ComputeHordeLogPiece,
    ComputeHordeNotFoundError,
)
from tests.conftest import ASKING, BOTH_WAYS
from tests.facilitator import NOW, FakeFacilitator
from tests.winding import wound


def piece(number: int, text: str, dropped: int = 0) -> ComputeHordeLogPiece:
    return ComputeHordeLogPiece(number, "stdout", text, dropped, NOW)


async def followed(job: ComputeHordeJob, offset: int = 0) -> list[str]:
    return [found.text async for found in job.logs(offset, follow=True)]


async def test_what_a_job_has_written_is_read_page_by_page(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    known = facilitator.add_job()
    known.written = ["a", "b", "c"]
    job = await client.get_job(known.uuid)

    assert await job.logs() == [piece(0, "a"), piece(1, "b"), piece(2, "c")]
    assert await job.logs(offset=2) == [piece(2, "c")]
    assert await job.logs(offset=3) == []


@BOTH_WAYS
async def test_what_a_job_writes_is_followed_until_it_has_ended(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    known = facilitator.add_job("failed")
    known.to_write = ["a", "b", "c", "d"]
    job = await client.get_job(known.uuid)

    assert await wound(clock, followed(job)) == ["a", "b", "c", "d"]


@BOTH_WAYS
async def test_following_may_start_anywhere(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    known = facilitator.add_job("completed")
    known.written = ["a", "b", "c", "d"]
    job = await client.get_job(known.uuid)

    assert await wound(clock, followed(job, offset=1)) == ["b", "c", "d"]


@ASKING
async def test_a_silent_job_is_asked_twice_a_second(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    job = await client.get_job(facilitator.add_job().uuid)
    following = asyncio.ensure_future(followed(job))
    await clock.advance(0)
    asked = len(facilitator.calls)
    for _ in range(100):
        await clock.advance(0.1)
    following.cancel()

    assert len(facilitator.calls) - asked == 20


async def test_missing_output_is_told(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    job = await client.get_job(facilitator.add_job().uuid)
    said = {"number": 4, "stream": "stdout", "text": "x", "dropped": 9}
    page = {
        "pieces": [{**said, "created_at": NOW.isoformat()}],
        "next_offset": 5,
        "ended": True,
    }
    facilitator.trouble.append(httpx.Response(200, json=page))

    found = await client.get_log_page(job.uuid, 4)

    assert found == ComputeHordeLogPage([piece(4, "x", dropped=9)], 5, True)


async def test_the_output_of_a_job_of_somebody_else_is_not_found(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    job = await client.get_job(facilitator.add_job().uuid)
    facilitator.jobs.clear()

    with pytest.raises(ComputeHordeNotFoundError):
        await job.logs()


async def test_an_answer_that_is_no_page_is_an_error(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    job = await client.get_job(facilitator.add_job().uuid)
    facilitator.trouble.append(httpx.Response(200, json={"pieces": "x"}))

    with pytest.raises(ComputeHordeError, match="malformed"):
        await job.logs()

"""What a local job's author is shown, without any executor."""

import asyncio
from datetime import timedelta

import httpx
import pytest

from compute_horde_common.clock import HandWoundClock
from compute_horde_common.jobs.failures import JobFailure
from compute_horde_common.jobs.lifecycle import JobStatus
from compute_horde_common.protocol.facilitator_validator import MinerResponse, StatusMetadata
from compute_horde_common.protocol.live import LogPiece
from compute_horde_common.protocol.rest import JobCreate
from compute_horde_sdk._internal.local.job import LocalJob
from compute_horde_sdk._internal.local.network import HEARTBEAT_SECONDS, JobEvents


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
    made = LocalJob("6f9a1c02-0000-4000-8000-000000000000", asked, clock)
    made.move(JobStatus.SENT)
    return made


def _piece(number: int, text: str) -> LogPiece:
    return LogPiece(number=number, stream="stdout", text=text)


def _texts(job: LocalJob) -> list[tuple[str, str]]:
    return [(piece.stream, piece.text) for piece in job.page(0, 1000).pieces]


def _events(job: LocalJob, clock: HandWoundClock, url: str = "", last: str = "") -> JobEvents:
    request = httpx.Request("GET", f"http://local/{url}", headers={"Last-Event-ID": last})
    return JobEvents(job, request, clock)


def test_a_job_that_has_ended_stays_ended(job: LocalJob) -> None:
    job.move(JobStatus.FAILED)
    job.move(JobStatus.COMPLETED)

    assert [entry.status for entry in job.view().status_history] == ["sent", "failed"]


def test_a_piece_that_comes_twice_is_kept_once(job: LocalJob) -> None:
    job.write([_piece(0, "a"), _piece(0, "a"), _piece(1, "b\0")])
    job.write([_piece(1, "b")])

    assert _texts(job) == [("stdout", "a"), ("stdout", "b\N{REPLACEMENT CHARACTER}")]


def test_the_output_of_a_short_job_is_that_of_its_result(job: LocalJob) -> None:
    answer = MinerResponse(docker_process_stdout="o" * 16_385, docker_process_stderr="err")
    job.move(JobStatus.COMPLETED, StatusMetadata(miner_response=answer))

    assert _texts(job) == [("stdout", "o" * 16_384), ("stdout", "o"), ("stderr", "err")]


def test_the_output_of_a_job_that_fails_early_is_that_of_its_failure(job: LocalJob) -> None:
    failure = JobFailure(
        reason="timeout", stage="execution", message="late", docker_process_stdout="begun"
    )
    job.move(JobStatus.FAILED, StatusMetadata.of_failure(failure))

    assert _texts(job) == [("stdout", "begun")]


def test_output_is_read_page_by_page_until_it_has_ended(job: LocalJob) -> None:
    job.write([_piece(number, str(number)) for number in range(3)])
    before = job.page(0, 2)
    job.move(JobStatus.COMPLETED)
    after = job.page(before.next_offset, 2)

    assert [piece.number for piece in before.pieces + after.pieces] == [0, 1, 2]
    assert (before.ended, after.ended) == (False, True)


async def test_events_come_as_they_happen_until_the_end(
    job: LocalJob, clock: HandWoundClock
) -> None:
    frames = aiter(_events(job, clock))
    first = [await anext(frames), await anext(frames)]
    waiting = asyncio.ensure_future(anext(frames))
    await asyncio.sleep(0)
    job.note_progress(50, "half")
    second = await waiting
    job.move(JobStatus.COMPLETED)

    rest = [frame async for frame in frames]

    kinds = [frame.split(b"\n")[:2] for frame in [*first, second, *rest]]
    assert kinds == [
        [b": hello", b""],
        [b"id: 1", b"event: status"],
        [b"id: 2", b"event: progress"],
        [b"id: 3", b"event: status"],
        [b"id: 4", b"event: end"],
    ]


async def test_events_go_on_after_the_last_one_that_is_known(
    job: LocalJob, clock: HandWoundClock
) -> None:
    job.move(JobStatus.COMPLETED)

    frames = [frame async for frame in _events(job, clock, last="2")]

    assert frames == [b": hello\n\n", b'id: 3\nevent: end\ndata: {"status":"completed"}\n\n']


async def test_events_are_told_without_output_to_who_wants_none(
    job: LocalJob, clock: HandWoundClock
) -> None:
    job.write([_piece(0, "a")])
    job.move(JobStatus.COMPLETED)

    frames = [frame async for frame in _events(job, clock, "?logs=false")]

    assert not any(b"event: log" in frame for frame in frames)
    assert frames[-1].startswith(b"id: 4\nevent: end")


async def test_while_nothing_happens_a_comment_says_that_events_may_come(
    job: LocalJob, clock: HandWoundClock
) -> None:
    frames = aiter(_events(job, clock))
    await anext(frames)
    await anext(frames)
    waiting = asyncio.ensure_future(anext(frames))

    await clock.advance(timedelta(seconds=HEARTBEAT_SECONDS).total_seconds())

    assert await waiting == b": still here\n\n"

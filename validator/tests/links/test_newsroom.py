import asyncio
from collections.abc import Callable

import pytest

from compute_horde_common.clock import HandWoundClock
from compute_horde_common.protocol.base import encode
from compute_horde_common.protocol.facilitator_validator import MAX_FRAME_TO_FACILITATOR
from compute_horde_common.protocol.live import (
    LIVE_BYTES,
    MAX_PIECE_CHARACTERS,
    MAX_PIECES,
    JobLog,
    JobProgress,
    LogPiece,
)
from validator.links.newsroom import (
    KEPT_FOR,
    LEAST_BYTES,
    MOST_BYTES,
    MOST_OF_ONE,
    PIECE_OVERHEAD,
    Newsroom,
)

JOB = "00000000-0000-0000-0000-000000000007"
OTHER = "00000000-0000-0000-0000-000000000008"
Told = Callable[[], list[str]]


@pytest.fixture
def newsroom(hand_wound_clock: HandWoundClock) -> Newsroom:
    return Newsroom(hand_wound_clock)


def piece(number: int, text: str = "x") -> LogPiece:
    return LogPiece(number=number, stream="stdout", text=text)


def log_of(*numbers: int, job: str = JOB) -> JobLog:
    return JobLog(job_uuid=job, pieces=[piece(number) for number in numbers])


def progress_of(percent: float, job: str = JOB) -> JobProgress:
    return JobProgress(job_uuid=job, percent=percent)


def told(newsroom: Newsroom, job: str = JOB) -> list[JobLog | JobProgress]:
    """All that the present link is to be told of a job now."""
    return list(iter(lambda: newsroom.next_of(job), None))


def numbers(frames: list[JobLog | JobProgress]) -> list[int]:
    return [each.number for frame in frames if isinstance(frame, JobLog) for each in frame.pieces]


def test_what_is_heard_is_told_once_on_a_link(newsroom: Newsroom) -> None:
    with newsroom.connected(wanted=True):
        newsroom.hear(log_of(0, 1))
        newsroom.hear(log_of(0, 1, 2))

        assert told(newsroom) == [log_of(0, 1, 2)]
        newsroom.hear(log_of(1, 2, 3))
        assert told(newsroom) == [log_of(3)]


def test_all_is_told_again_on_the_next_link(newsroom: Newsroom) -> None:
    with newsroom.connected(wanted=True):
        newsroom.hear(log_of(0))
        newsroom.hear(progress_of(1))
        told(newsroom)
    newsroom.hear(log_of(1))

    with newsroom.connected(wanted=True):
        assert told(newsroom) == [log_of(0, 1), progress_of(1)]


def test_only_the_latest_progress_is_told_and_only_if_it_is_new(newsroom: Newsroom) -> None:
    with newsroom.connected(wanted=True):
        newsroom.hear(progress_of(1))
        newsroom.hear(progress_of(2))

        assert told(newsroom) == [progress_of(2)]
        newsroom.hear(progress_of(2))
        assert told(newsroom) == []


async def test_jobs_take_turns(newsroom: Newsroom) -> None:
    for start in range(0, 3 * MAX_PIECES, MAX_PIECES):
        newsroom.hear(log_of(*range(start, start + MAX_PIECES)))
    newsroom.hear(log_of(0, job=OTHER))
    with newsroom.connected(wanted=True):
        frames = [await newsroom.next() for _ in range(4)]

    assert [frame.job_uuid for frame in frames] == [JOB, OTHER, JOB, JOB]


async def test_news_are_told_as_soon_as_there_are_any(newsroom: Newsroom) -> None:
    with newsroom.connected(wanted=True):
        waiting = asyncio.create_task(newsroom.next())
        await asyncio.sleep(0)
        newsroom.hear(log_of(0))

        assert await waiting == log_of(0)


def test_without_a_wish_for_news_none_are_kept(newsroom: Newsroom) -> None:
    newsroom.hear(log_of(0))
    with newsroom.connected(wanted=False):
        newsroom.hear(log_of(0))
        assert told(newsroom) == []
    newsroom.hear(log_of(0))

    with newsroom.connected(wanted=True):
        assert told(newsroom) == []


def test_a_gap_is_not_passed_over_but_may_be_filled(newsroom: Newsroom) -> None:
    with newsroom.connected(wanted=True):
        newsroom.hear(log_of(0, 2, 1))
        newsroom.hear(log_of(10**17))
        assert numbers(told(newsroom)) == [0]

        newsroom.hear(log_of(0, 1, 2))
        assert numbers(told(newsroom)) == [1, 2]


def test_the_output_of_one_job_is_bounded(newsroom: Newsroom) -> None:
    text = "\u00e9" * MAX_PIECE_CHARACTERS
    for number in range(2 * LIVE_BYTES // len(text.encode())):
        newsroom.hear(JobLog(job_uuid=JOB, pieces=[piece(number, text)]))

    with newsroom.connected(wanted=True):
        assert len(numbers(told(newsroom))) == LIVE_BYTES // len(text.encode())


def test_small_pieces_are_bounded_too(newsroom: Newsroom) -> None:
    for start in range(0, LIVE_BYTES // LEAST_BYTES + 1, MAX_PIECES):
        newsroom.hear(log_of(*range(start, start + MAX_PIECES)))

    with newsroom.connected(wanted=True):
        assert len(numbers(told(newsroom))) == MOST_OF_ONE // (LEAST_BYTES + PIECE_OVERHEAD)


def test_the_output_of_all_jobs_is_bounded_and_room_is_given_back(newsroom: Newsroom) -> None:
    text = "x" * MAX_PIECE_CHARACTERS
    pieces = [piece(number, text) for number in range(MAX_PIECES)]
    most = MOST_BYTES // (len(text) + PIECE_OVERHEAD)
    jobs = [f"00000000-0000-0000-0000-000000000{number}" for number in range(100, 360)]
    for job in jobs:
        newsroom.hear(JobLog(job_uuid=job, pieces=pieces))
    with newsroom.connected(wanted=True):
        assert sum(len(numbers(told(newsroom, job))) for job in jobs) == most

        newsroom.ended(jobs[0])
        told(newsroom, jobs[0])
        newsroom.hear(JobLog(job_uuid=JOB, pieces=pieces))
        assert told(newsroom) == [JobLog(job_uuid=JOB, pieces=pieces)]


def test_the_largest_frame_is_one_that_the_facilitator_takes(newsroom: Newsroom) -> None:
    pieces = [piece(number, "\x01" * MAX_PIECE_CHARACTERS) for number in range(MAX_PIECES)]
    newsroom.hear(JobLog(job_uuid=JOB, pieces=pieces))
    with newsroom.connected(wanted=True):
        frames = told(newsroom)

    assert max(len(encode(frame).encode()) for frame in frames) < MAX_FRAME_TO_FACILITATOR


def test_what_is_told_of_an_ended_job_is_forgotten(newsroom: Newsroom) -> None:
    with newsroom.connected(wanted=True):
        newsroom.hear(log_of(0))
        newsroom.ended(JOB)
        assert told(newsroom) == [log_of(0)]

    with newsroom.connected(wanted=True):
        assert told(newsroom) == []


@pytest.mark.parametrize(("late", "kept"), [(-1, 1), (0, 0)])
async def test_what_an_ended_job_wrote_waits_for_a_link_but_not_for_ever(
    newsroom: Newsroom, hand_wound_clock: HandWoundClock, late: int, kept: int
) -> None:
    newsroom.hear(log_of(0))
    newsroom.ended(JOB)
    await hand_wound_clock.advance(KEPT_FOR.total_seconds() + late)
    newsroom.ended(OTHER)

    with newsroom.connected(wanted=True):
        assert len(told(newsroom)) == kept


async def test_an_ended_job_is_forgotten_by_the_link_that_knows_all_of_it(
    newsroom: Newsroom,
) -> None:
    with newsroom.connected(wanted=True):
        newsroom.hear(log_of(0))
        await newsroom.next()
        newsroom.ended(JOB)
        newsroom.hear(log_of(0, job=OTHER))
        await newsroom.next()
    with newsroom.connected(wanted=True):
        assert told(newsroom) == []

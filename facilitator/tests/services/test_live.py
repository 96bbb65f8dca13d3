from datetime import datetime, timedelta

import pytest

from compute_horde_common.jobs.failures import JobFailure
from compute_horde_common.jobs.lifecycle import JobStatus
from compute_horde_common.protocol.facilitator_validator import MinerResponse, StatusMetadata
from compute_horde_common.protocol.live import (
    LIVE_BYTES,
    MAX_PIECE_CHARACTERS,
    JobLog,
    JobProgress,
    LogPiece,
)
from facilitator.domain.following import Cursor
from facilitator.models import Job, StoredPiece
from facilitator.services import following, jobs, live
from facilitator.services.following import LogPage
from tests.scene import ALICE, BOB, MALLORY, a_job, now

pytestmark = pytest.mark.django_db

FULL = "x" * MAX_PIECE_CHARACTERS


def piece(number: int, text: str = "text\n", dropped: int = 0) -> LogPiece:
    return LogPiece(number=number, stream="stdout", text=text, dropped=dropped)


def tell(job: Job, *pieces: LogPiece, at: datetime | None = None, by: str = BOB.ss58) -> None:
    live.record(JobLog(job_uuid=str(job.uuid), pieces=pieces), validator=by, at=at or now())


def say_progress(job: Job, percent: float, text: str = "", by: str = BOB.ss58) -> None:
    message = JobProgress(job_uuid=str(job.uuid), percent=percent, text=text)
    live.record(message, validator=by, at=now())


def progress_of(job: Job) -> tuple[float | None, str]:
    row = Job.objects.get(uuid=job.uuid)
    return row.progress_percent, row.progress_text


def stored(job: Job) -> list[tuple[int, str]]:
    return list(StoredPiece.objects.filter(job=job).values_list("number", "text"))


def page(job: Job, offset: int = 0, limit: int = 256, at: datetime | None = None) -> LogPage:
    return following.log_page(job.uuid, ALICE.ss58, at or now(), offset=offset, limit=limit)


def numbers(found: LogPage) -> list[int]:
    return [piece.number for piece in found.pieces]


def end(job: Job, metadata: StatusMetadata | None = None) -> None:
    jobs.move(job.uuid, JobStatus.COMPLETED, now(), metadata)


def test_pieces_are_stored_once_and_in_order_however_they_come() -> None:
    job = a_job()

    tell(job, piece(2, "c"), piece(0, "a"), piece(2, "again"))
    tell(job, piece(0, "again"), piece(1, "b", dropped=7))

    assert stored(job) == [(0, "a"), (1, "b"), (2, "c")]
    assert [piece.dropped for piece in page(job).pieces] == [0, 7, 0]


def test_another_validator_cannot_add_to_a_jobs_output() -> None:
    job = a_job()

    tell(job, piece(0), by=MALLORY.ss58)

    assert stored(job) == []


def test_a_nul_is_replaced() -> None:
    job = a_job()

    tell(job, piece(0, "a\0b"))
    say_progress(job, 1, "c\0d")

    assert (stored(job), progress_of(job)) == ([(0, "a\ufffdb")], (1.0, "c\ufffdd"))


def test_output_is_taken_until_a_minute_after_the_end() -> None:
    job, at = a_job(), now()
    jobs.move(job.uuid, JobStatus.COMPLETED, at)

    tell(job, piece(0), at=at + timedelta(seconds=60))
    tell(job, piece(1), at=at + timedelta(seconds=61))

    assert [number for number, _ in stored(job)] == [0]


def test_only_so_much_of_a_jobs_output_is_stored() -> None:
    job = a_job()
    most = LIVE_BYTES // MAX_PIECE_CHARACTERS

    for start in range(0, most + 64, 64):
        tell(job, *(piece(number, FULL) for number in range(start, start + 64)))
    tell(job, piece(most + 500, "x"))

    assert [number for number, _ in stored(job)] == list(range(most))


def test_the_latest_progress_counts() -> None:
    job = a_job()

    say_progress(job, 60, "fast")
    say_progress(job, 42.5, "slower")

    assert progress_of(job) == (42.5, "slower")


def test_progress_of_another_validator_or_after_the_end_is_left_out() -> None:
    job = a_job()
    say_progress(job, 5, by=MALLORY.ss58)
    end(job)

    say_progress(job, 99)

    assert progress_of(job) == (None, "")


def test_output_of_no_job_does_no_harm() -> None:
    tell(Job(), piece(0))
    say_progress(Job(), 5)

    assert not StoredPiece.objects.exists()


def test_a_page_says_where_the_next_one_starts() -> None:
    job = a_job()
    tell(job, *(piece(number) for number in range(5)))

    first, second = page(job, limit=3), page(job, offset=3, limit=3)

    assert (numbers(first), first.next_offset, first.ended) == ([0, 1, 2], 3, False)
    assert (numbers(second), second.next_offset, second.ended) == ([3, 4], 5, False)


def test_a_page_beyond_the_end_is_empty() -> None:
    job = a_job()
    tell(job, piece(0))
    end(job)

    assert page(job, offset=10**9) == LogPage([], 10**9, ended=True)


def test_only_the_last_page_of_an_ended_job_says_so() -> None:
    job = a_job()
    tell(job, piece(0), piece(1))
    end(job)

    assert [page(job, offset, 1).ended for offset in (0, 1)] == [False, True]


def test_a_piece_after_a_gap_waits_for_a_moment() -> None:
    job, at = a_job(), now()
    tell(job, piece(0), piece(2), at=at)

    early = page(job, at=at + timedelta(seconds=1))
    late = page(job, at=at + timedelta(seconds=6))

    assert (numbers(early), numbers(late)) == ([0], [0, 2])


def test_a_job_without_pieces_shows_those_of_its_result() -> None:
    job = a_job()
    result = MinerResponse(docker_process_stdout=FULL + "y", docker_process_stderr="oh")
    end(job, StatusMetadata(miner_response=result))

    found = page(job)

    shown = [(piece.number, piece.stream, piece.text) for piece in found.pieces]
    assert shown == [(0, "stdout", FULL), (1, "stdout", "y"), (2, "stderr", "oh")]
    assert (numbers(page(job, offset=1, limit=1)), found.ended) == ([1], True)


def test_a_failed_job_without_pieces_shows_what_its_failure_holds() -> None:
    job = a_job()
    failure = JobFailure(
        reason="timeout", stage="execution", message="too long", docker_process_stdout="half"
    )
    jobs.move(job.uuid, failure.status, now(), StatusMetadata.of_failure(failure))

    assert [piece.text for piece in page(job).pieces] == ["half"]


def test_news_are_bounded_and_go_on_where_they_stopped() -> None:
    job = a_job()
    tell(job, *(piece(number) for number in range(5)))
    end(job)

    some = following.news(job.uuid, ALICE.ss58, now(), since=Cursor(), limit=3)
    rest = following.news(job.uuid, ALICE.ss58, now(), since=Cursor(1, 3), limit=3)

    assert ([piece.number for piece in some.pieces], some.more) == ([0, 1, 2], True)
    assert ([piece.number for piece in rest.pieces], rest.more) == ([3, 4], False)
    assert [entry.status for entry in rest.entries] == ["completed"]


def test_news_without_output_have_all_the_rest() -> None:
    job = a_job()
    tell(job, piece(0), piece(1))
    end(job)

    news = following.news(job.uuid, ALICE.ss58, now(), since=Cursor(), limit=0)

    assert ([*news.pieces], news.more, news.ended) == ([], False, True)
    assert [entry.status for entry in news.entries] == ["sent", "completed"]


def test_what_a_job_wrote_goes_with_it() -> None:
    job = a_job()
    tell(job, piece(0))
    end(job)

    jobs.evict(now() + timedelta(days=8), 7)

    assert not StoredPiece.objects.exists()

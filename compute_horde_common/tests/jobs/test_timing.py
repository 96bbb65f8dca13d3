from datetime import UTC, datetime, timedelta

from compute_horde_common.jobs.failures import HordeFailure, JobFailed, JobFailure, Rejection
from compute_horde_common.jobs.lifecycle import JobStatus
from compute_horde_common.jobs.timing import Deadline, Limits

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_time_that_a_stage_did_not_need_is_left_to_the_next() -> None:
    download = Deadline.starting(NOW, 5).extended(10)
    after_two_seconds = NOW + timedelta(seconds=2)

    assert download.left(after_two_seconds) == 13
    assert download.extended(30).left(after_two_seconds) == 43


def test_a_deadline_that_has_passed_has_nothing_left() -> None:
    assert Deadline.starting(NOW, 5).left(NOW + timedelta(seconds=6)) == 0


def test_the_total_of_limits_has_the_leeway_in_it() -> None:
    assert Limits(download=1, execution=2, upload=3, streaming_start=4).total == 15


def test_each_kind_of_failure_has_its_own_ending() -> None:
    rejection = Rejection(rejected_by="miner", reason="busy", message="full")
    failure = JobFailure(reason="timeout", stage="execution", message="slow")
    horde = HordeFailure(reported_by="validator", reason="a_new_reason", message="who knows")

    assert [f.status for f in (rejection, failure, horde)] == [
        JobStatus.REJECTED,
        JobStatus.FAILED,
        JobStatus.HORDE_FAILED,
    ]
    assert str(JobFailed(horde)) == "horde_failed: a_new_reason: who knows"

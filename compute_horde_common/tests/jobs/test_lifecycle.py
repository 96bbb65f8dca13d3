import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute_horde_common.jobs.lifecycle import (
    ENDINGS,
    LABELS,
    NEXT,
    PROGRESS,
    IllegalMove,
    JobStatus,
    advance,
)


def test_every_status_has_a_line_in_the_table() -> None:
    assert set(NEXT) == set(JobStatus)


def test_every_status_can_be_reached() -> None:
    assert set().union(*NEXT.values()) | {JobStatus.SENT} == set(JobStatus)


def test_endings_have_no_exits() -> None:
    assert {status for status in JobStatus if not NEXT[status]} == ENDINGS
    assert {status for status in JobStatus if status.is_end} == ENDINGS


def test_every_open_status_may_end_in_every_way() -> None:
    assert all(NEXT[status] >= ENDINGS for status in PROGRESS)


def test_labels_are_those_of_the_live_network() -> None:
    assert LABELS == {
        JobStatus.SENT: "Sent",
        JobStatus.RECEIVED: "Received",
        JobStatus.ACCEPTED: "Accepted",
        JobStatus.EXECUTOR_READY: "Executor Ready",
        JobStatus.VOLUMES_READY: "Volumes Ready",
        JobStatus.STREAMING_READY: "Streaming Ready",
        JobStatus.EXECUTION_DONE: "Execution Done",
        JobStatus.COMPLETED: "Completed",
        JobStatus.REJECTED: "Rejected",
        JobStatus.FAILED: "Failed",
        JobStatus.HORDE_FAILED: "Failed",
    }


def test_a_job_cannot_go_back() -> None:
    with pytest.raises(IllegalMove) as raised:
        advance(JobStatus.VOLUMES_READY, JobStatus.ACCEPTED)

    assert (raised.value.now, raised.value.to) == (JobStatus.VOLUMES_READY, JobStatus.ACCEPTED)


@given(st.data())
def test_any_walk_ends_and_visits_no_status_twice(data: st.DataObject) -> None:
    seen = [JobStatus.SENT]
    while NEXT[seen[-1]]:
        seen.append(advance(seen[-1], data.draw(st.sampled_from(sorted(NEXT[seen[-1]])))))

    assert len(set(seen)) == len(seen)
    assert seen[-1] in ENDINGS

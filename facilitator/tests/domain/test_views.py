from datetime import UTC, datetime

from compute_horde_common.jobs.lifecycle import JobStatus
from compute_horde_common.jobs.spec import JobSpec
from compute_horde_common.protocol.rest import JobView
from facilitator.domain.views import Entry, Facts, job_view

AT = datetime(2026, 1, 1, 12, 0, 0, 5, tzinfo=UTC)
SPEC = JobSpec(
    docker_image="busybox",
    env={"Z": "1", "A": "2"},
    download_time_limit=1,
    execution_time_limit=2,
    upload_time_limit=3,
    streaming_start_time_limit=4,
)


def facts(status: JobStatus) -> Facts:
    return Facts("u", SPEC.model_dump_json(), "v", None, "", status, AT, AT)


def test_output_is_shown_while_its_status_is_the_newest() -> None:
    told = '{"miner_response":{"docker_process_stdout":"o","docker_process_stderr":"e"}}'

    view = job_view(facts(JobStatus.COMPLETED), [Entry(JobStatus.COMPLETED, told, AT)])

    assert (view["stdout"], view["stderr"], view["artifacts"]) == ("o", "e", {})


def test_members_that_we_do_not_know_are_shown_as_they_came() -> None:
    told = '{"miner_response":{"x":[1,null]},"news":true}'

    view = job_view(facts(JobStatus.COMPLETED), [Entry(JobStatus.COMPLETED, told, AT)])

    assert view["status_history"] == [
        {
            "status": "completed",
            "metadata": {"miner_response": {"x": [1, None]}, "news": True},
            "created_at": "2026-01-01T12:00:00.000005Z",
        }
    ]


def test_the_order_of_members_is_kept() -> None:
    assert list(JobView.model_validate(job_view(facts(JobStatus.SENT), [])).env) == ["Z", "A"]


def test_a_failure_of_the_network_has_the_label_that_old_clients_know() -> None:
    assert job_view(facts(JobStatus.HORDE_FAILED), [])["status"] == "Failed"

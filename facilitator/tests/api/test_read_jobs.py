import uuid
from datetime import timedelta

import pytest

from compute_horde_common.jobs.failures import JobFailure
from compute_horde_common.jobs.lifecycle import JobStatus
from compute_horde_common.protocol.facilitator_validator import (
    MinerResponse,
    StatusMetadata,
    StreamingServer,
)
from compute_horde_common.protocol.rest import JobPage, JobView
from facilitator.services import jobs
from tests.scene import MALLORY, User, a_job, job_body, now

pytestmark = pytest.mark.django_db

RESULT = MinerResponse(
    docker_process_stderr="err\0",
    docker_process_stdout="out",
    artifacts={"/artifacts/a": "YQ=="},
    upload_results={"o.bin": '{"headers":{},"body":""}'},
)


def test_a_completed_job_shows_its_result() -> None:
    job = a_job()
    jobs.move(job.uuid, JobStatus.COMPLETED, now(), StatusMetadata(miner_response=RESULT))

    shown = JobView.model_validate(User.allowed().get(f"/api/v1/jobs/{job.uuid}/").json())

    assert (shown.status, shown.stdout, shown.stderr) == ("Completed", "out", "err\0")
    assert (shown.artifacts, shown.upload_results) == (RESULT.artifacts, RESULT.upload_results)


def test_a_failed_job_keeps_exit_status_and_output_in_its_history() -> None:
    job = a_job()
    failure = JobFailure(
        reason="nonzero_return_code",
        stage="execution",
        message="exit status 3",
        docker_process_exit_status=3,
        docker_process_stdout="half",
        docker_process_stderr="oh",
    )
    jobs.move(job.uuid, failure.status, now(), StatusMetadata.of_failure(failure))

    shown = User.allowed().get(f"/api/v1/jobs/{job.uuid}/").json()

    assert (shown["status"], shown["stdout"]) == ("Failed", "")
    assert shown["status_history"][-1]["metadata"] == {
        "job_failure_details": {
            "reason": "nonzero_return_code",
            "stage": "execution",
            "message": "exit status 3",
            "docker_process_exit_status": 3,
            "docker_process_stdout": "half",
            "docker_process_stderr": "oh",
        }
    }


def test_a_streaming_job_shows_where_it_is_reached() -> None:
    job = a_job(streaming_details={"public_key": "PEM"})
    server = StreamingServer(
        streaming_server_cert="CERT", streaming_server_address="10.0.0.1", streaming_server_port=9
    )
    jobs.move(job.uuid, JobStatus.STREAMING_READY, now(), StatusMetadata(streaming_details=server))

    shown = User.allowed().get(f"/api/v1/jobs/{job.uuid}/").json()

    assert (
        shown["streaming_client_cert"],
        shown["streaming_server_cert"],
        shown["streaming_server_address"],
        shown["streaming_server_port"],
    ) == ("PEM", "CERT", "10.0.0.1", 9)


def test_a_completed_status_without_metadata_does_no_harm() -> None:
    job = a_job()
    jobs.move(job.uuid, JobStatus.COMPLETED, now())

    shown = User.allowed().get(f"/api/v1/jobs/{job.uuid}/").json()

    assert (shown["status"], shown["stdout"], shown["artifacts"]) == ("Completed", "", {})


def test_somebody_elses_job_is_not_found() -> None:
    job = a_job()

    answer = User.allowed(MALLORY).get(f"/api/v1/jobs/{job.uuid}/")

    assert (answer.status_code, list(answer.json())) == (404, ["detail"])


@pytest.mark.parametrize("text", [str(uuid.UUID(int=0)), "abc", "%00", "1" * 5000])
def test_what_is_no_job_is_not_found(text: str) -> None:
    answer = User.allowed().get(f"/api/v1/jobs/{text}/")

    assert (answer.status_code, list(answer.json())) == (404, ["detail"])


def test_a_signature_on_a_get_is_ignored() -> None:
    user = User.allowed()
    user.headers |= {"X-CH-Signature": "!", "X-CH-Signatory": "x", "X-CH-Timestamp-NS": "z"}

    assert user.get("/api/v1/jobs/").status_code == 200


def test_pages_hold_each_job_once_newest_first() -> None:
    start = now()
    made = [a_job(start + timedelta(seconds=place)) for place in range(5)]
    user = User.allowed()

    first = user.get("/api/v1/jobs/", page_size="2", tag="").json()
    second = user.client.get(first["next"], headers=user.headers).json()
    last = user.get("/api/v1/jobs/", page_size="2", page="last").json()

    shown = [job["uuid"] for page in (first, second, last) for job in page["results"]]
    assert shown == [str(job.uuid) for job in reversed(made)]
    assert (first["count"], first["previous"], last["next"]) == (5, None, None)
    assert JobPage.model_validate(second).previous is not None


def test_jobs_are_filtered_by_tag_and_uuid() -> None:
    plain, tagged, other = a_job(), a_job(tag="ż"), a_job()
    user = User.allowed()

    by_tag = user.get("/api/v1/jobs/", tag="ż").json()["results"]
    by_uuid = user.get("/api/v1/jobs/", uuid=[str(plain.uuid), str(other.uuid)]).json()["results"]

    assert [job["uuid"] for job in by_tag] == [str(tagged.uuid)]
    assert {job["uuid"] for job in by_uuid} == {str(plain.uuid), str(other.uuid)}


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        (["completed"], {1}),
        (["Completed"], {1}),
        (["Horde Failed", "sent"], {0, 2}),
        (["horde_failed", "completed", "rejected"], {1, 2}),
        (["rejected"], set()),
    ],
    ids=str,
)
def test_jobs_are_filtered_by_status(wanted: list[str], places: set[int]) -> None:
    made = [a_job(), a_job(), a_job()]
    jobs.move(made[1].uuid, JobStatus.COMPLETED, now())
    jobs.move(made[2].uuid, JobStatus.HORDE_FAILED, now())

    answer = User.allowed().get("/api/v1/jobs/", status=wanted).json()

    found = {job["uuid"] for job in answer["results"]}
    assert found == {str(made[place].uuid) for place in places}
    assert answer["count"] == len(places)


def test_a_status_that_is_none_is_told_the_known_ones() -> None:
    answer = User.allowed().get("/api/v1/jobs/", status=["sent", "lost\0"])

    (told,) = answer.json()["status"]
    assert answer.status_code == 400
    assert told.startswith("'lost\\x00' is no status; there are sent, received, ")


def test_a_page_link_keeps_the_filters() -> None:
    jobs_made = [a_job(), a_job()]
    user = User.allowed()
    query = {
        "uuid": [str(job.uuid) for job in jobs_made],
        "status": ["sent", "failed"],
        "page_size": "1",
    }

    following = user.get("/api/v1/jobs/", **query).json()["next"]

    assert all(str(job.uuid) in following for job in jobs_made)
    assert "status=sent&status=failed" in following


@pytest.mark.parametrize("page", ["2", "0", "-1", "x", "1" * 400, "٣"])
def test_a_page_out_of_range_is_not_found(page: str) -> None:
    assert User.allowed().get("/api/v1/jobs/", page=page).status_code == 404


@pytest.mark.parametrize("size", ["0", "100000", "x", "-1"])
def test_an_odd_page_size_is_no_fault(size: str) -> None:
    assert User.allowed().get("/api/v1/jobs/", page_size=size).status_code == 200


@pytest.mark.parametrize(("name", "value"), [("uuid", "x"), ("tag", "\0"), ("status", "")])
def test_a_malformed_filter_is_refused(name: str, value: str) -> None:
    answer = User.allowed().get("/api/v1/jobs/", **{name: value})

    assert (answer.status_code, list(answer.json())) == (400, [name])


def test_an_empty_list_has_one_empty_page() -> None:
    assert User.allowed().get("/api/v1/jobs/").json() == {
        "count": 0,
        "next": None,
        "previous": None,
        "results": [],
    }


def test_reading_a_job_takes_three_queries(django_assert_num_queries: object) -> None:
    job, user = a_job(), User.allowed()
    jobs.move(job.uuid, JobStatus.RECEIVED, now())

    with django_assert_num_queries(3):  # type: ignore[operator]  # pytest-django's fixture
        user.get(f"/api/v1/jobs/{job.uuid}/")


def test_the_limits_are_shown_as_submitted() -> None:
    job = a_job(execution_time_limit=77)

    shown = User.allowed().get(f"/api/v1/jobs/{job.uuid}/").json()

    expected = {name: value for name, value in job_body().items() if name.endswith("_limit")}
    assert {name: shown[name] for name in expected} == {**expected, "execution_time_limit": 77}

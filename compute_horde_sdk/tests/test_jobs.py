"""A job as it is read from the facilitator's answers."""

import json

import httpx
import pytest

from compute_horde_sdk.v1 import (
    ComputeHordeClient,
    ComputeHordeError,
    ComputeHordeHordeFailure,
    ComputeHordeJob,
    ComputeHordeJobFailure,
    ComputeHordeJobRejection,
    ComputeHordeJobStatus,
)
from tests.recorder import JOB, Recorder, horde_failed, job_answer, job_body, rejected


async def _get(
    client: ComputeHordeClient, facilitator: Recorder, answer: httpx.Response
) -> ComputeHordeJob:
    facilitator.answers = [answer]
    return await client.get_job(JOB)


async def test_a_running_job_has_no_result(
    client: ComputeHordeClient, facilitator: Recorder
) -> None:
    job = await _get(client, facilitator, job_answer("sent", "received", "accepted"))

    assert (job.status, job.result, job.error) == (ComputeHordeJobStatus.ACCEPTED, None, None)
    assert [entry.status.value for entry in job.status_history] == ["sent", "received", "accepted"]


async def test_a_completed_job_has_output_artifacts_and_upload_results(
    client: ComputeHordeClient, facilitator: Recorder
) -> None:
    answered = {"headers": {"etag": "x"}, "body": "stored"}
    answer = job_answer(
        "sent",
        "completed",
        stdout="out",
        stderr="err",
        artifacts={"/artifacts/a": "aGk="},
        upload_results={"b/c": json.dumps(answered), "broken": "?"},
    )

    result = (await _get(client, facilitator, answer)).result

    assert result is not None
    assert (result.stdout, result.stderr) == ("out", "err")
    assert result.artifacts == {"/artifacts/a": b"hi"}
    uploads = {path: shown.model_dump() for path, shown in result.upload_results.items()}
    assert uploads == {"/output/b/c": answered}


async def test_an_artifact_that_is_no_base64_does_not_hide_the_others(
    client: ComputeHordeClient, facilitator: Recorder
) -> None:
    artifacts = {"/a/odd": "abc", "/a/junk": "!!", "/a/good": "aGk="}

    job = await _get(client, facilitator, job_answer("completed", artifacts=artifacts))

    assert job.result is not None
    assert job.result.artifacts == {"/a/good": b"hi"}


async def test_a_failed_job_tells_stage_exit_status_and_output(
    client: ComputeHordeClient, facilitator: Recorder
) -> None:
    details = {
        "reason": "nonzero_return_code",
        "stage": "execution",
        "message": "exit 3",
        "context": {"a": 1},
        "docker_process_exit_status": 3,
        "docker_process_stdout": "out",
        "docker_process_stderr": "err",
    }

    answer = job_answer("sent", "failed", metadata={"job_failure_details": details})
    job = await _get(client, facilitator, answer)

    assert job.status.is_failed()
    assert job.error == ComputeHordeJobFailure(
        "nonzero_return_code",
        "exit 3",
        {"a": 1},
        stage="execution",
        exit_status=3,
        stdout="out",
        stderr="err",
    )


async def test_a_rejected_job_tells_who_rejected_it(
    client: ComputeHordeClient, facilitator: Recorder
) -> None:
    job = await _get(client, facilitator, rejected("busy"))

    assert job.error == ComputeHordeJobRejection("busy", "no", None, "validator")


async def test_a_job_that_the_network_failed_tells_who_reports_it(
    client: ComputeHordeClient, facilitator: Recorder
) -> None:
    job = await _get(client, facilitator, horde_failed())

    assert job.error == ComputeHordeHordeFailure("executor_disconnected", "gone", "miner")


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={}),
        httpx.Response(204),
        httpx.Response(200, json={**job_body(), "status_history": []}),
        job_answer("levitating"),
        job_answer("failed", metadata={"job_failure_details": {"reason": "no message"}}),
    ],
)
async def test_an_answer_that_is_no_job_is_an_error(
    client: ComputeHordeClient, facilitator: Recorder, answer: httpx.Response
) -> None:
    with pytest.raises(ComputeHordeError, match="malformed response"):
        await _get(client, facilitator, answer)


async def test_members_that_are_new_absent_or_null_are_borne(
    client: ComputeHordeClient, facilitator: Recorder
) -> None:
    body = job_body("completed", artifacts=None, upload_results=None, streaming_server_port="443")
    del body["stdout"], body["created_at"]

    job = await _get(client, facilitator, httpx.Response(200, json={**body, "new": 1}))

    assert job.result is not None
    assert (job.result.stdout, job.result.artifacts) == ("", {})
    assert job.streaming_server_port == 443


def _page(number: int, *uuids: str, more: bool) -> httpx.Response:
    results = [{**job_body(), "uuid": uuid} for uuid in uuids]
    following = f"http://elsewhere.test/?page={number + 1}" if more else None
    return httpx.Response(200, json={"count": 9, "next": following, "results": results})


async def test_a_page_of_jobs_is_asked_for(
    client: ComputeHordeClient, facilitator: Recorder
) -> None:
    facilitator.answers = [_page(2, "a", "b", more=True)]

    jobs = await client.get_jobs(page=2, page_size=5)

    assert [job.uuid for job in jobs] == ["a", "b"]
    assert facilitator.sent[-1] == "GET /api/v1/jobs/?page=2&page_size=5"


async def test_all_jobs_are_found_once_page_by_page(
    client: ComputeHordeClient, facilitator: Recorder
) -> None:
    facilitator.answers = [_page(1, "a", "b", more=True), _page(2, "b", "c", more=False)]

    found = [job.uuid async for job in client.iter_jobs()]

    assert found == ["a", "b", "c"]
    assert facilitator.sent[2:] == [
        "GET /api/v1/jobs/?page=1&page_size=10",
        "GET /api/v1/jobs/?page=2&page_size=10",
    ]

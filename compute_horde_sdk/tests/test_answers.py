import base64

import httpx
import pytest
from pydantic import ValidationError

from compute_horde_sdk.v1 import (
    ComputeHordeClient,
    ComputeHordeError,
    ComputeHordeHordeFailure,
    ComputeHordeJobFailure,
    ComputeHordeJobRejection,
    ComputeHordeNotFoundError,
)
from tests.conftest import SpecMaker
from tests.facilitator import Entry, FakeFacilitator

ANY_JOB = "00000000-0000-4000-8000-000000000099"

MALFORMED: dict[str, httpx.Response] = {
    "no JSON": httpx.Response(200, text="<html>"),
    "no text": httpx.Response(200, content=b"\xff\xfe"),
    "nothing": httpx.Response(204),
    "a list": httpx.Response(200, json=[]),
    "an empty object": httpx.Response(200, json={}),
    "no history": httpx.Response(200, json={"uuid": "u"}),
    "an empty history": httpx.Response(200, json={"uuid": "u", "status_history": []}),
    "an unknown status": httpx.Response(
        200,
        json={
            "uuid": "u",
            "status_history": [{"status": "lost", "created_at": "2026-01-01T00:00:00Z"}],
        },
    ),
    "a failure without message": httpx.Response(
        200,
        json={
            "uuid": "u",
            "status_history": [
                {
                    "status": "failed",
                    "created_at": "2026-01-01T00:00:00Z",
                    "metadata": {"job_failure_details": {"reason": "timeout"}},
                }
            ],
        },
    ),
    "a status without time": httpx.Response(
        200, json={"uuid": "u", "status_history": [{"status": "sent"}]}
    ),
}


@pytest.mark.parametrize("kind", MALFORMED.keys())
async def test_an_answer_that_is_no_job_is_an_error(
    client: ComputeHordeClient, facilitator: FakeFacilitator, spec: SpecMaker, kind: str
) -> None:
    facilitator.trouble.extend([MALFORMED[kind], MALFORMED[kind]])

    with pytest.raises(ComputeHordeError, match="malformed response") as told:
        await client.get_job(ANY_JOB)
    with pytest.raises(ComputeHordeError, match="malformed response"):
        await client.create_job(spec())

    assert isinstance(told.value.__cause__, ValidationError)


async def test_an_answer_that_is_no_page_is_an_error(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    facilitator.trouble.append(httpx.Response(200, json={"next": None, "results": [{"uuid": 1}]}))

    with pytest.raises(ComputeHordeError, match=r"malformed response: results\.0"):
        await client.get_jobs()


async def test_a_job_that_is_not_there_is_not_found(client: ComputeHordeClient) -> None:
    with pytest.raises(ComputeHordeNotFoundError) as told:
        await client.get_job(ANY_JOB)

    assert told.value.status_code == 404


async def test_a_job_has_what_it_left_behind_once_it_has_ended(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    job = facilitator.add_job("sent", "execution_done", "completed")
    job.members = {
        "artifacts": {"/artifacts/a": base64.b64encode(b"\0\1").decode()},
        "upload_results": {"a.png": '{"headers": {"etag": "x"}, "body": "ok"}'},
    }

    running = await client.get_job(job.uuid)
    ended = await client.get_job(job.uuid)

    assert running.result is None
    assert ended.result is not None
    assert (ended.result.stdout, ended.result.stderr) == ("out", "err")
    assert ended.result.artifacts == {"/artifacts/a": b"\0\1"}
    upload = ended.result.upload_results["/output/a.png"]
    assert (upload.headers, upload.body) == ({"etag": "x"}, "ok")
    assert ended.error is None


@pytest.mark.parametrize("junk", ["abc", "%%%%", "ü"])
async def test_an_artifact_that_is_no_base64_hides_no_other(
    client: ComputeHordeClient,
    facilitator: FakeFacilitator,
    caplog: pytest.LogCaptureFixture,
    junk: str,
) -> None:
    job = facilitator.add_job("completed")
    job.members = {"artifacts": {"/a/bad": junk, "/a/good": "b2s="}}

    found = await client.get_job(job.uuid)

    assert found.result is not None
    assert found.result.artifacts == {"/a/good": b"ok"}
    assert "/a/bad" in caplog.text


async def test_an_upload_result_that_is_unreadable_hides_no_other(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    job = facilitator.add_job("completed")
    job.members = {"upload_results": {"bad": "[", "good": '{"headers": {}, "body": ""}'}}

    found = await client.get_job(job.uuid)

    assert found.result is not None
    assert list(found.result.upload_results) == ["/output/good"]


async def test_members_that_are_absent_null_or_unknown_do_no_harm(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    job = facilitator.add_job({"status": "completed", "metadata": None, "colour": "blue"})
    job.members = dict.fromkeys(("stdout", "artifacts", "upload_results", "streaming_server_cert"))
    job.members |= {"executor_class": "unheard.of", "streaming_server_port": "6006", "colour": 1}

    found = await client.get_job(job.uuid)

    assert found.result is not None
    assert (found.result.stdout, found.result.artifacts) == ("", {})
    assert found.streaming_server_port == 6006


ENDS: dict[str, tuple[Entry, object]] = {
    "failed": (
        {
            "status": "failed",
            "metadata": {
                "job_failure_details": {
                    "reason": "nonzero_return_code",
                    "message": "exit 3",
                    "context": {"a": 1},
                    "stage": "execution",
                    "docker_process_exit_status": 3,
                    "docker_process_stdout": "half",
                    "docker_process_stderr": "oops",
                }
            },
        },
        ComputeHordeJobFailure(
            "nonzero_return_code",
            "exit 3",
            {"a": 1},
            stage="execution",
            exit_status=3,
            stdout="half",
            stderr="oops",
        ),
    ),
    "rejected": (
        {
            "status": "rejected",
            "metadata": {
                "job_rejection_details": {
                    "reason": "busy",
                    "message": "no slot",
                    "rejected_by": "miner",
                }
            },
        },
        ComputeHordeJobRejection("busy", "no slot", rejected_by="miner"),
    ),
    "horde_failed": (
        {
            "status": "horde_failed",
            "metadata": {
                "horde_failure_details": {
                    "reason": "generic_error",
                    "message": "broken",
                    "reported_by": "validator",
                }
            },
        },
        ComputeHordeHordeFailure("generic_error", "broken", "validator"),
    ),
    "failed without details": ({"status": "failed", "metadata": {}}, None),
}


@pytest.mark.parametrize(("end", "error"), ENDS.values(), ids=ENDS.keys())
async def test_a_job_that_ended_badly_says_why(
    client: ComputeHordeClient, facilitator: FakeFacilitator, end: Entry, error: object
) -> None:
    job = facilitator.add_job("sent", end)

    found = await client.get_job(job.uuid)

    assert found.status.is_failed()
    assert found.error == error
    assert [entry.status for entry in found.status_history] == ["sent", found.status]

"""What our client makes of answers, beside what the published SDK 0.0.19 was seen to make of them.

Whatever the answer is, the outcome is a job or a `ComputeHordeError`. Where ours is another outcome
than the published one, the tables say so.
"""

import json
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from bittensor_wallet import Keypair

from compute_horde_common.clock import HandWoundClock
from compute_horde_sdk.v1 import (
    ComputeHordeAPIError,
    ComputeHordeClient,
    ComputeHordeError,
    ComputeHordeHordeFailure,
    ComputeHordeJob,
    ComputeHordeJobFailure,
    ComputeHordeJobRejection,
    ComputeHordeNotFoundError,
)
from tests.conftest import SpecMaker
from tests.facilitator import FakeFacilitator
from tests.published import BOB, JOB, JOB_UUID
from tests.winding import wound

AT = "2026-01-01T00:00:00Z"


@dataclass(frozen=True)
class Case:
    """An answer, and what became of it: a status, ``error``, or an exception that was let out."""

    body: object
    published: str
    ours: str


def changed(**members: object) -> dict[str, Any]:
    return {**JOB, **members}


def without(name: str) -> dict[str, Any]:
    return {other: value for other, value in JOB.items() if other != name}


def told(status: str, **members: object) -> dict[str, Any]:
    return changed(
        status_history=[{"status": status, "created_at": AT, "metadata": None}], **members
    )


def explained(status: str, metadata: object) -> dict[str, Any]:
    return changed(status_history=[{"status": status, "created_at": AT, "metadata": metadata}])


def both(body: object, outcome: str) -> Case:
    return Case(body, outcome, outcome)


def milder(body: object, published: str, ours: str = "sent") -> Case:
    return Case(body, published, ours)


CASES = {
    "not json": both("<html>", "error"),
    "list": both([], "error"),
    "empty object": both({}, "error"),
    "empty history": milder(changed(status_history=[]), "IndexError", "error"),
    "no history key": milder(without("status_history"), "IndexError", "error"),
    "unknown status": both(told("paused"), "error"),
    "args null": milder(changed(args=None), "error"),
    "env null": milder(changed(env=None), "error"),
    "no stderr": milder(without("stderr"), "error"),
    "no stdout": milder(without("stdout"), "error"),
    "no created_at": milder(without("created_at"), "error"),
    "no args": milder(without("args"), "error"),
    "artifacts null": milder(changed(artifacts=None), "error"),
    "upload_results null": milder(changed(upload_results=None), "error"),
    "bad base64": both(told("completed", artifacts={"/a": "***"}), "completed"),
    "odd base64": milder(told("completed", artifacts={"/a": "abc"}), "binascii.Error", "completed"),
    "no artifacts key": both(without("artifacts"), "sent"),
    "extra key": both(changed(future_field={"a": 1}), "sent"),
    "executor class unknown": both(changed(executor_class="brand.new"), "sent"),
    "metadata extra": both(explained("sent", {"miner_response": {"x": 1}, "other": 2}), "sent"),
    "metadata missing message": both(
        explained("failed", {"job_failure_details": {"reason": "timeout"}}), "error"
    ),
    "history no metadata": both(
        changed(status_history=[{"status": "sent", "created_at": AT}]), "sent"
    ),
    "upper case status": milder(told("Completed"), "error", "completed"),
    "stream port str": both(changed(streaming_server_port="6006"), "sent"),
    "stream nulls": both(
        changed(
            streaming_server_cert=None, streaming_server_address=None, streaming_server_port=None
        ),
        "sent",
    ),
}


async def outcome(asking: Awaitable[ComputeHordeJob]) -> str:
    try:
        job = await asking
    except ComputeHordeError:
        return "error"
    assert (job.result is None) == job.status.is_in_progress()
    return job.status.value


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_any_answer_is_a_job_or_one_of_our_errors(
    client: ComputeHordeClient, facilitator: FakeFacilitator, case: Case
) -> None:
    text = case.body if isinstance(case.body, str) else json.dumps(case.body)
    facilitator.trouble.append(httpx.Response(200, text=text))

    assert await outcome(client.get_job(JOB_UUID)) == case.ours


def test_ours_is_stricter_nowhere() -> None:
    stricter = {
        name for name, case in CASES.items() if case.ours == "error" and case.published == "sent"
    }

    assert stricter == set()


FAILURES: dict[str, tuple[dict[str, Any], object]] = {
    "failed": (
        {
            "job_failure_details": {
                "reason": "nonzero_return_code",
                "stage": "execution",
                "message": "exit 3",
                "context": {"a": 1},
                "docker_process_exit_status": 3,
                "docker_process_stdout": "o",
                "docker_process_stderr": "e",
            }
        },
        ComputeHordeJobFailure(
            reason="nonzero_return_code",
            message="exit 3",
            context={"a": 1},
            stage="execution",
            exit_status=3,
            stdout="o",
            stderr="e",
        ),
    ),
    "rejected": (
        {
            "job_rejection_details": {
                "rejected_by": "validator",
                "reason": "no_miner_for_job",
                "message": "Job could not be routed to a miner",
                "context": {"exception_type": "X"},
            }
        },
        ComputeHordeJobRejection(
            reason="no_miner_for_job",
            message="Job could not be routed to a miner",
            context={"exception_type": "X"},
            rejected_by="validator",
        ),
    ),
    "horde_failed": (
        {
            "horde_failure_details": {
                "reported_by": "validator",
                "reason": "miner_connection_failed",
                "message": "m",
                "context": None,
            }
        },
        ComputeHordeHordeFailure(
            reason="miner_connection_failed", message="m", reported_by="validator"
        ),
    ),
}


@pytest.mark.parametrize("status", FAILURES)
async def test_a_failure_has_what_the_published_one_has_and_more(
    client: ComputeHordeClient, facilitator: FakeFacilitator, status: str
) -> None:
    metadata, expected = FAILURES[status]
    facilitator.trouble.append(httpx.Response(200, json=explained(status, metadata)))

    job = await client.get_job(JOB_UUID)

    assert (job.status, job.error) == (status, expected)
    assert job.result is not None


async def test_a_failure_without_details_has_no_error(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    facilitator.trouble.append(httpx.Response(200, json=explained("failed", {})))

    job = await client.get_job(JOB_UUID)

    assert (job.status, job.error) == ("failed", None)


async def test_a_result_has_its_artifacts_and_uploads(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    answer = told(
        "completed",
        stdout="hello\n",
        stderr="warn\n",
        artifacts={"/artifacts/out.bin": "AAFhcnRpZmFjdA=="},
        upload_results={
            "image.png": '{"headers": {"etag": "\\"abc\\""}, "body": ""}',
            "sub/dir/log.txt": '{"headers": {"location": "http://x/"}, "body": "<ok/>"}',
        },
    )
    facilitator.trouble.append(httpx.Response(200, json=answer))

    result = (await client.get_job(JOB_UUID)).result

    assert result is not None
    assert (result.stdout, result.stderr) == ("hello\n", "warn\n")
    assert result.artifacts == {"/artifacts/out.bin": b"\x00\x01artifact"}
    assert {path: (each.headers, each.body) for path, each in result.upload_results.items()} == {
        "/output/image.png": ({"etag": '"abc"'}, ""),
        "/output/sub/dir/log.txt": ({"location": "http://x/"}, "<ok/>"),
    }


TROUBLES = {
    # name: the answers, how often the published SDK asks, and whether it has a job in the end
    "429 twice": ([429, 429], 3, True),
    "503 nine times": ([503] * 9, 5, False),
    "501 nine times": ([501] * 9, 5, False),
    "400": ([400], 1, False),
    "403": ([403], 1, False),
    "408": ([408], 1, False),
    "409": ([409], 1, False),
    "413": ([413], 1, False),
}


@pytest.mark.parametrize(("statuses", "asked", "ends_well"), TROUBLES.values(), ids=TROUBLES.keys())
async def test_trouble_is_met_as_often_as_by_the_published_sdk(
    client: ComputeHordeClient,
    facilitator: FakeFacilitator,
    clock: HandWoundClock,
    statuses: list[int],
    asked: int,
    ends_well: bool,
) -> None:
    job = facilitator.add_job("sent")
    facilitator.trouble.extend(httpx.Response(status, text="no") for status in statuses)

    said = await wound(clock, outcome(client.get_job(job.uuid)))

    assert said == ("sent" if ends_well else "error")
    assert len(facilitator.calls) == asked


TOKENS = {
    # The published SDK takes the second for an error, and keeps the token that was refused.
    "expired": "Token expired.",
    "refused": "Token decode error.",
}


@pytest.mark.parametrize("detail", TOKENS.values(), ids=TOKENS.keys())
async def test_a_token_that_is_refused_is_replaced_once(
    client: ComputeHordeClient, facilitator: FakeFacilitator, detail: str
) -> None:
    job = facilitator.add_job("sent")
    await client.authenticate()
    facilitator.trouble.append(httpx.Response(401, json={"detail": detail}))

    assert await outcome(client.get_job(job.uuid)) == "sent"
    assert facilitator.logins == 2

    facilitator.trouble.extend([httpx.Response(401, json={"detail": detail})] * 2)

    with pytest.raises(ComputeHordeAPIError, match="status code 401"):
        await client.get_job(job.uuid)
    assert (facilitator.logins, len(facilitator.calls)) == (3, 4)


@pytest.mark.parametrize(
    ("status", "expected"), [(200, "sent"), (201, "sent"), (202, "sent"), (204, "error")]
)
async def test_any_success_with_a_job_is_a_created_job(
    client: ComputeHordeClient,
    facilitator: FakeFacilitator,
    spec: SpecMaker,
    status: int,
    expected: str,
) -> None:
    body = json.dumps(JOB) if expected == "sent" else ""
    facilitator.trouble.append(httpx.Response(status, text=body))

    assert await outcome(client.create_job(spec())) == expected


REDIRECTS = {301: "error", 302: "error", 303: "error", 307: "sent", 308: "sent"}


@pytest.mark.parametrize(("status", "create"), REDIRECTS.items())
async def test_redirects_are_followed_as_by_the_published_sdk(
    client: ComputeHordeClient,
    facilitator: FakeFacilitator,
    spec: SpecMaker,
    status: int,
    create: str,
) -> None:
    job = facilitator.add_job("sent")
    elsewhere = f"/api/v1/jobs/{job.uuid}/?moved=1"
    facilitator.trouble.append(httpx.Response(status, headers={"Location": elsewhere}))

    assert await outcome(client.get_job(job.uuid)) == "sent"
    assert facilitator.last.url.query == b"moved=1"

    moved = {"Location": "/api/v1/job-docker/?moved=1"}
    facilitator.trouble.append(httpx.Response(status, headers=moved))
    # A POST that has become a GET asks for something that is not there.
    facilitator.trouble.extend([httpx.Response(404)] * (create == "error"))

    assert await outcome(client.create_job(spec())) == create
    assert facilitator.last.url.query == b"moved=1"


REFUSED_LOGINS: dict[str, list[httpx.Response]] = {
    "no nonce page": [httpx.Response(404)],
    "nonce no json": [httpx.Response(200, text="x")],
    "nonce missing": [httpx.Response(200, text="{}")],
    "nonce list": [httpx.Response(200, text="[]")],
    "not allowed": [
        httpx.Response(200, json={"nonce": "n"}),
        httpx.Response(400, json={"error": "Hotkey not allowed"}),
    ],
    "signature refused": [
        httpx.Response(200, json={"nonce": "n"}),
        httpx.Response(401, json={"error": "Invalid signature"}),
    ],
    "no login page": [httpx.Response(200, json={"nonce": "n"}), httpx.Response(404, text="{}")],
    "no token": [httpx.Response(200, json={"nonce": "n"}), httpx.Response(200, text="{}")],
}


@pytest.mark.parametrize("answers", REFUSED_LOGINS.values(), ids=REFUSED_LOGINS.keys())
async def test_a_login_that_fails_is_an_error_that_is_told_at_once(
    client: ComputeHordeClient, facilitator: FakeFacilitator, answers: list[httpx.Response]
) -> None:
    facilitator.login_trouble.extend(answers)

    with pytest.raises(ComputeHordeError) as error:
        await client.get_jobs()

    assert not isinstance(error.value, ComputeHordeNotFoundError)
    assert len(facilitator.requests) == len(answers)


@pytest.mark.parametrize(
    "answers", [[500, 500], ["nonce", 429], ["nonce", 503, "nonce", 503]], ids=str
)
async def test_a_login_that_has_passing_trouble_is_repeated_with_a_fresh_nonce(
    client: ComputeHordeClient,
    facilitator: FakeFacilitator,
    clock: HandWoundClock,
    answers: list[Any],
) -> None:
    facilitator.login_trouble.extend(
        httpx.Response(200, json={"nonce": "n"}) if each == "nonce" else httpx.Response(each)
        for each in answers
    )

    assert await wound(clock, client.get_jobs()) == []
    assert facilitator.logins == 1


URLS = {
    # given: where the login is asked for, where the API is
    "http://f": ("/auth/nonce", "/api/v1/jobs/u/"),
    "http://f/": ("/auth/nonce", "/api/v1/jobs/u/"),
    "http://f/pfx/": ("/pfx/auth/nonce", "/pfx/api/v1/jobs/u/"),
    # The published SDK asks in vain for a login here: at /auth/ beside the API's prefix, or
    # below /api/v1/.
    "http://f/pfx": ("/pfx/auth/nonce", "/pfx/api/v1/jobs/u/"),
    "http://f/api/v1": ("/auth/nonce", "/api/v1/jobs/u/"),
    "http://f/api/v1/": ("/auth/nonce", "/api/v1/jobs/u/"),
}


@pytest.mark.parametrize(("url", "expected"), URLS.items())
async def test_a_facilitators_url_may_have_any_ending(
    keypair: Keypair, url: str, expected: tuple[str, str]
) -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        says = {"/nonce": {"nonce": "n"}, "/login": {"token": "t"}}
        path = request.url.path
        return httpx.Response(200, json=next((v for k, v in says.items() if path.endswith(k)), JOB))

    transport = httpx.MockTransport(answer)
    async with ComputeHordeClient(keypair, BOB, None, url, transport=transport) as client:
        await client.get_job("u")

    assert (asked[0], asked[-1]) == expected


REPORTS = {
    "duplicate": (400, {"error": "Cheat report already exists for this job"}, ComputeHordeAPIError),
    "unknown": (404, {"error": "Job not found"}, ComputeHordeNotFoundError),
    "not trusted": (404, {"error": "Trusted job not found"}, ComputeHordeNotFoundError),
}


@pytest.mark.parametrize(("status", "body", "kind"), REPORTS.values(), ids=REPORTS.keys())
async def test_a_cheat_report_that_is_refused_keeps_the_reason(
    client: ComputeHordeClient,
    facilitator: FakeFacilitator,
    status: int,
    body: dict[str, str],
    kind: type[ComputeHordeAPIError],
) -> None:
    facilitator.trouble.append(httpx.Response(status, json=body))

    with pytest.raises(kind) as error:
        await client.report_cheated_job(JOB_UUID, JOB_UUID)

    assert type(error.value) is kind
    assert error.value.status_code == status
    assert body["error"] in str(error.value)

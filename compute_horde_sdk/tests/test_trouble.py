"""Refusals, lost answers and silence: what is repeated, and which error it becomes."""

import asyncio

import httpx
import pytest

from compute_horde_sdk.v1 import (
    ComputeHordeAPIError,
    ComputeHordeClient,
    ComputeHordeError,
    ComputeHordeNotFoundError,
)
from tests.conftest import SpecMaker
from tests.recorder import JOB, LeapingClock, Recorder, job_answer

UNAUTHORISED = httpx.Response(401, json={"detail": "no"})


@pytest.mark.parametrize(
    "trouble",
    [
        httpx.Response(429),
        httpx.Response(500),
        httpx.Response(503),
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("slow"),
        httpx.WriteError("broken"),
    ],
)
async def test_a_create_is_repeated_and_makes_one_job(
    client: ComputeHordeClient,
    facilitator: Recorder,
    spec: SpecMaker,
    trouble: httpx.Response | Exception,
) -> None:
    facilitator.answers = [trouble, trouble, job_answer()]

    await client.create_job(spec())

    sent = facilitator.api_requests
    assert len(sent) == 3
    assert len({request.headers["Idempotency-Key"] for request in sent}) == 1
    assert len({request.headers["X-CH-Signature"] for request in sent}) == 1


async def test_two_creates_have_two_idempotency_keys(
    client: ComputeHordeClient, facilitator: Recorder, spec: SpecMaker
) -> None:
    facilitator.answers = [job_answer()]

    await client.create_job(spec())
    await client.create_job(spec())

    keys = [request.headers["Idempotency-Key"] for request in facilitator.api_requests]
    assert keys[0] != keys[1]


async def test_a_request_is_given_up_after_five_attempts(
    client: ComputeHordeClient, facilitator: Recorder, clock: LeapingClock
) -> None:
    facilitator.answers = [httpx.Response(503, text="down")]

    with pytest.raises(ComputeHordeAPIError, match="responded with status code 503") as given_up:
        await client.get_job(JOB)

    assert (given_up.value.status_code, given_up.value.body) == (503, "down")
    assert len(facilitator.api_requests) == 5
    shortest = [0.2, 0.4, 0.8, 1.6]
    over = [slept - least for slept, least in zip(clock.slept, shortest, strict=True)]
    assert all(0 <= jitter <= 1 for jitter in over)


@pytest.mark.parametrize("error", [httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("gone")])
async def test_an_answer_that_is_lost_is_asked_for_again_but_nothing_is_created_twice(
    client: ComputeHordeClient, facilitator: Recorder, spec: SpecMaker, error: Exception
) -> None:
    facilitator.answers = [error, job_answer()]
    await client.get_job(JOB)

    facilitator.answers = [error, job_answer()]
    with pytest.raises(ComputeHordeError, match="ComputeHorde request failed") as failed:
        await client.create_job(spec())

    assert failed.value.__cause__ is error


@pytest.mark.parametrize("code", [400, 403, 405, 409, 413, 415])
async def test_a_refusal_is_final_and_keeps_its_reasons(
    client: ComputeHordeClient, facilitator: Recorder, spec: SpecMaker, code: int
) -> None:
    facilitator.answers = [httpx.Response(code, json={"docker_image": ["no such thing"]})]

    with pytest.raises(ComputeHordeAPIError, match="no such thing") as refused:
        await client.create_job(spec())

    assert refused.value.status_code == code
    assert len(facilitator.api_requests) == 1


async def test_a_job_that_is_not_there_is_not_found(
    client: ComputeHordeClient, facilitator: Recorder
) -> None:
    facilitator.answers = [httpx.Response(404, json={"detail": "no"})]

    with pytest.raises(ComputeHordeNotFoundError) as missing:
        await client.get_job(JOB)

    assert missing.value.status_code == 404


async def test_any_401_leads_to_one_new_login(
    client: ComputeHordeClient, facilitator: Recorder, spec: SpecMaker
) -> None:
    facilitator.answers = [UNAUTHORISED, job_answer()]

    await client.create_job(spec())

    assert facilitator.sent == [
        "GET /auth/nonce",
        "POST /auth/login",
        "POST /api/v1/job-docker/",
        "GET /auth/nonce",
        "POST /auth/login",
        "POST /api/v1/job-docker/",
    ]
    first, second = facilitator.api_requests
    assert second.headers["Authorization"] == "Bearer token-2"
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]


async def test_a_second_401_is_an_error_and_the_next_request_logs_in_again(
    client: ComputeHordeClient, facilitator: Recorder
) -> None:
    facilitator.answers = [UNAUTHORISED, UNAUTHORISED, UNAUTHORISED, job_answer()]

    with pytest.raises(ComputeHordeAPIError, match="401"):
        await client.get_job(JOB)
    await client.get_job(JOB)

    assert facilitator.logins == 3


async def test_many_first_requests_log_in_once(
    client: ComputeHordeClient, facilitator: Recorder
) -> None:
    facilitator.answers = [job_answer()]

    await asyncio.gather(*(client.get_job(JOB) for _ in range(20)))

    assert facilitator.logins == 1


async def test_a_login_is_repeated_with_a_fresh_nonce(
    client: ComputeHordeClient, facilitator: Recorder
) -> None:
    facilitator.login_answers = [httpx.Response(502)]

    await client.authenticate()

    assert facilitator.sent == ["GET /auth/nonce", "POST /auth/login"] * 2


@pytest.mark.parametrize("code", [400, 401, 404])
async def test_a_refused_login_says_so_and_is_never_a_missing_job(
    client: ComputeHordeClient, facilitator: Recorder, code: int
) -> None:
    facilitator.login_answers = [httpx.Response(code, json={"error": "not on the list"})]

    with pytest.raises(ComputeHordeAPIError, match="not on the list") as refused:
        await client.get_job(JOB)

    assert not isinstance(refused.value, ComputeHordeNotFoundError)
    assert facilitator.logins == 1


@pytest.mark.parametrize("answer", ["<html>", "[]", "{}", '{"token": 5}', '{"token": "a\\nb"}'])
async def test_a_login_answer_that_makes_no_sense_is_an_error(
    client: ComputeHordeClient, facilitator: Recorder, answer: str
) -> None:
    facilitator.login_answers = [httpx.Response(200, text=answer)]

    with pytest.raises(ComputeHordeError):
        await client.authenticate()


async def test_a_closed_client_says_so(client: ComputeHordeClient, facilitator: Recorder) -> None:
    facilitator.answers = [job_answer()]
    async with client:
        job = await client.get_job(JOB)

    with pytest.raises(ComputeHordeError, match="closed"):
        await job.refresh_from_facilitator()


def test_a_client_outlives_its_event_loop(
    client: ComputeHordeClient, facilitator: Recorder
) -> None:
    facilitator.answers = [job_answer()]

    asyncio.run(client.authenticate())
    job = asyncio.run(client.get_job(JOB))

    assert job.uuid == JOB
    assert facilitator.logins == 1

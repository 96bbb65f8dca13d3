import asyncio

import httpx
import pytest

from compute_horde_common.clock import HandWoundClock
from compute_horde_sdk.v1 import (
    ComputeHordeAPIError,
    ComputeHordeClient,
    ComputeHordeError,
    ComputeHordeNotFoundError,
)
from tests.facilitator import FakeFacilitator
from tests.winding import wound


async def test_twenty_first_calls_at_once_log_in_once(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    job = facilitator.add_job()

    await asyncio.gather(*(client.get_job(job.uuid) for _ in range(20)))

    assert facilitator.logins == 1
    assert len(facilitator.calls) == 20


async def test_a_refused_token_is_replaced_whatever_the_refusal_says(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    job = facilitator.add_job()
    await client.get_job(job.uuid)
    facilitator.refused_tokens.add("token-1")

    await asyncio.gather(*(client.get_job(job.uuid) for _ in range(20)))

    assert facilitator.logins == 2


async def test_a_token_that_is_refused_at_once_is_replaced_only_once(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    job = facilitator.add_job()
    facilitator.refused_tokens.update({"token-1", "token-2"})

    with pytest.raises(ComputeHordeAPIError) as refused:
        await client.get_job(job.uuid)

    assert refused.value.status_code == 401
    assert facilitator.logins == 2
    await client.get_job(job.uuid)
    assert facilitator.logins == 3


async def test_a_hotkey_that_is_not_let_in_is_told_why(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    nonce = httpx.Response(200, json={"nonce": "n"})
    facilitator.login_trouble.extend([nonce, httpx.Response(400, text="not whitelisted")])

    with pytest.raises(ComputeHordeAPIError, match="not whitelisted") as refused:
        await client.authenticate()

    assert (refused.value.status_code, refused.value.body) == (400, "not whitelisted")


async def test_a_missing_login_is_no_missing_job(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    facilitator.login_trouble.append(httpx.Response(404))

    with pytest.raises(ComputeHordeError) as refused:
        await client.get_jobs()

    assert not isinstance(refused.value, ComputeHordeNotFoundError)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json={}),
        httpx.Response(200, json={"nonce": 5}),
        httpx.Response(204),
    ],
    ids=["no JSON", "no nonce", "number", "nothing"],
)
async def test_a_nonce_that_is_none_is_an_error(
    client: ComputeHordeClient, facilitator: FakeFacilitator, answer: httpx.Response
) -> None:
    facilitator.login_trouble.append(answer)

    with pytest.raises(ComputeHordeError, match="malformed"):
        await client.authenticate()


@pytest.mark.parametrize("token", ["", "a\nb", "ü"], ids=repr)
async def test_a_token_that_no_header_can_hold_is_an_error(
    client: ComputeHordeClient, facilitator: FakeFacilitator, token: str
) -> None:
    nonce = httpx.Response(200, json={"nonce": "n"})
    facilitator.login_trouble.extend([nonce, httpx.Response(200, json={"token": token})])

    with pytest.raises(ComputeHordeError, match="token"):
        await client.authenticate()


async def test_a_login_is_tried_again_with_another_nonce(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    nonce = httpx.Response(200, json={"nonce": "used up"})
    facilitator.login_trouble.extend(
        [httpx.Response(503), nonce, httpx.ReadTimeout("slow"), httpx.ConnectError("down")]
    )

    await wound(clock, client.authenticate())

    assert facilitator.logins == 1
    assert facilitator.last.url.path == "/auth/login"
    assert b"used up" not in facilitator.last.content

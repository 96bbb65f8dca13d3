import httpx
import pytest

from compute_horde_common.clock import HandWoundClock
from compute_horde_sdk.v1 import ComputeHordeAPIError, ComputeHordeClient, ComputeHordeError
from tests.conftest import SpecMaker
from tests.facilitator import FakeFacilitator
from tests.winding import wound

ATTEMPTS = 5
Passing = httpx.Response | Exception
LOST_ANSWERS: dict[str, Passing] = {
    "no answer in time": httpx.ReadTimeout("slow"),
    "no more to read": httpx.ReadError("reset"),
    "hung up": httpx.RemoteProtocolError("disconnected"),
}


def passing_troubles() -> dict[str, Passing]:
    return {
        "429": httpx.Response(429),
        "500": httpx.Response(500),
        "502": httpx.Response(502),
        "503": httpx.Response(503),
        "refused": httpx.ConnectError("refused"),
        "no connection in time": httpx.ConnectTimeout("slow"),
        "not written": httpx.WriteError("broken pipe"),
        **LOST_ANSWERS,
    }


@pytest.mark.parametrize("trouble", passing_troubles().keys())
async def test_a_create_that_is_repeated_is_the_same_create(
    client: ComputeHordeClient,
    facilitator: FakeFacilitator,
    spec: SpecMaker,
    clock: HandWoundClock,
    trouble: str,
) -> None:
    facilitator.trouble.extend(passing_troubles()[trouble] for _ in range(ATTEMPTS - 1))

    job = await wound(clock, client.create_job(spec()))

    posts = [each for each in facilitator.requests if each.url.path.endswith("job-docker/")]
    told = {"idempotency-key", "x-ch-signature", "x-ch-timestamp-ns"}
    same = {(each.content, *(each.headers[name] for name in sorted(told))) for each in posts}
    assert job.uuid in facilitator.jobs
    assert len(posts) == ATTEMPTS
    assert len(same) == 1


@pytest.mark.parametrize("trouble", LOST_ANSWERS.values(), ids=LOST_ANSWERS.keys())
async def test_a_question_whose_answer_is_lost_is_asked_again(
    client: ComputeHordeClient,
    facilitator: FakeFacilitator,
    clock: HandWoundClock,
    trouble: Exception,
) -> None:
    job = facilitator.add_job()
    facilitator.trouble.append(trouble)

    found = await wound(clock, client.get_job(job.uuid))

    assert found.uuid == job.uuid
    assert len(facilitator.calls) == 2


async def test_a_cheat_report_whose_answer_is_lost_is_not_made_twice(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    facilitator.trouble.append(httpx.ReadTimeout("slow"))

    with pytest.raises(ComputeHordeError, match="request failed: ReadTimeout") as told:
        await client.report_cheated_job("one", "two")

    assert isinstance(told.value.__cause__, httpx.ReadTimeout)
    assert len(facilitator.calls) == 1


async def test_trouble_that_does_not_pass_is_told_after_five_attempts(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    began = clock.now()
    facilitator.trouble.extend(httpx.Response(503, text="down") for _ in range(9))

    with pytest.raises(ComputeHordeAPIError, match="status code 503") as told:
        await wound(clock, client.get_jobs())

    assert (told.value.status_code, told.value.body) == (503, "down")
    assert len(facilitator.calls) == ATTEMPTS
    assert 3 <= (clock.now() - began).total_seconds() <= 8


async def test_a_facilitator_that_cannot_be_reached_is_an_error_with_its_cause(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    facilitator.login_trouble.extend(httpx.ConnectError("nobody there") for _ in range(9))

    with pytest.raises(ComputeHordeError, match=r"request failed.*nobody there") as told:
        await wound(clock, client.get_jobs())

    assert isinstance(told.value.__cause__, httpx.ConnectError)


@pytest.mark.parametrize("status", [400, 403, 404, 409, 413, 422])
async def test_a_refusal_is_not_asked_for_twice(
    client: ComputeHordeClient, facilitator: FakeFacilitator, spec: SpecMaker, status: int
) -> None:
    body = '{"args": ["too many"]}'
    facilitator.trouble.append(httpx.Response(status, text=body))

    with pytest.raises(ComputeHordeAPIError) as told:
        await client.create_job(spec())

    assert (told.value.status_code, told.value.body) == (status, body)
    assert body in str(told.value)
    assert len(facilitator.calls) == 1

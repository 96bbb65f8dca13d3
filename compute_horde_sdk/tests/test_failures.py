import httpx
import pytest

from compute_horde_common.clock import HandWoundClock
from compute_horde_sdk.v1 import (
    ComputeHordeAPIError,
    ComputeHordeClient,
    ComputeHordeError,
    ComputeHordeJobFailedError,
    ComputeHordeJobTimeoutError,
)
from tests.conftest import SpecMaker
from tests.facilitator import Entry, FakeFacilitator
from tests.winding import wound

EXIT: Entry = {
    "status": "failed",
    "metadata": {
        "job_failure_details": {
            "reason": "nonzero_return_code",
            "message": "exit 3",
            "stage": "execution",
            "docker_process_exit_status": 3,
            "docker_process_stdout": "half",
            "docker_process_stderr": "oops",
        }
    },
}
BUSY: Entry = {
    "status": "rejected",
    "metadata": {"job_rejection_details": {"reason": "busy", "message": "no slot"}},
}
BROKEN: Entry = {
    "status": "horde_failed",
    "metadata": {"horde_failure_details": {"reason": "generic_error", "message": ""}},
}
ENDS: dict[str, tuple[Entry, dict[str, object], str]] = {
    "the job's fault": (
        EXIT,
        {
            "status": "failed",
            "reason": "nonzero_return_code",
            "stage": "execution",
            "exit_status": 3,
            "stdout": "half",
            "stderr": "oops",
        },
        "job {} ended as failed in execution (nonzero_return_code, exit status 3): exit 3",
    ),
    "nobody took it": (
        BUSY,
        {
            "status": "rejected",
            "reason": "busy",
            "stage": None,
            "exit_status": None,
            "stdout": "out",
            "stderr": "err",
        },
        "job {} ended as rejected (busy): no slot",
    ),
    "the network's fault": (
        BROKEN,
        {
            "status": "horde_failed",
            "reason": "generic_error",
            "stage": None,
            "exit_status": None,
            "stdout": "out",
            "stderr": "err",
        },
        "job {} ended as horde_failed (generic_error)",
    ),
    "nobody says why": (
        "failed",
        {
            "status": "failed",
            "reason": "unknown",
            "stage": None,
            "exit_status": None,
            "stdout": "out",
            "stderr": "err",
        },
        "job {} ended as failed (unknown)",
    ),
}


@pytest.mark.parametrize(("end", "members", "text"), ENDS.values(), ids=ENDS.keys())
async def test_a_job_that_ended_badly_is_an_error_where_one_is_asked_for(
    client: ComputeHordeClient,
    facilitator: FakeFacilitator,
    clock: HandWoundClock,
    end: Entry,
    members: dict[str, object],
    text: str,
) -> None:
    job = await client.get_job(facilitator.add_job("sent", "received", end).uuid)
    await wound(clock, job.wait())

    with pytest.raises(ComputeHordeJobFailedError) as told:
        job.raise_for_status()
    with pytest.raises(ComputeHordeJobFailedError):
        await job.wait(raise_on_failure=True)

    assert {name: getattr(told.value, name) for name in members} == members
    assert (told.value.job, told.value.job_uuid) == (job, job.uuid)
    assert str(told.value) == text.format(job.uuid)
    assert isinstance(told.value, ComputeHordeError)
    assert job.exit_status == members["exit_status"]


async def test_a_job_that_ended_well_or_not_at_all_is_no_error(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    running = await client.get_job(facilitator.add_job("sent").uuid)
    ended = await client.get_job(facilitator.add_job("completed").uuid)

    running.raise_for_status()
    await ended.wait(raise_on_failure=True)

    assert (running.exit_status, ended.exit_status) == (None, 0)


async def test_a_wait_that_is_over_too_early_is_no_failure(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    job = await client.get_job(facilitator.add_job().uuid)

    with pytest.raises(ComputeHordeJobTimeoutError):
        await job.wait(timeout=0, raise_on_failure=True)


REFUSALS: dict[str, tuple[object, str, dict[str, list[str]]]] = {
    "one reason": ({"detail": "The job has ended."}, "The job has ended.", {}),
    "reasons by field": (
        {"args": ["too many", "too long"], "env": "no"},
        "args: too many, too long; env: no",
        {"args": ["too many", "too long"], "env": ["no"]},
    ),
    "reasons further in": (
        {"volumes": [{}, {"url": ["no URL"]}]},
        "volumes.1.url: no URL",
        {"volumes.1.url": ["no URL"]},
    ),
    "a list of reasons": (["no validator", "try later"], "no validator; try later", {}),
    "another form": ({"detail": 1}, '{"detail":1}', {}),
    "nothing": ({}, "{}", {}),
}


@pytest.mark.parametrize(("said", "detail", "reasons"), REFUSALS.values(), ids=REFUSALS.keys())
async def test_a_refusal_keeps_the_servers_reasons(
    client: ComputeHordeClient,
    facilitator: FakeFacilitator,
    spec: SpecMaker,
    said: object,
    detail: str,
    reasons: dict[str, list[str]],
) -> None:
    facilitator.trouble.append(httpx.Response(400, json=said))

    with pytest.raises(ComputeHordeAPIError) as told:
        await client.create_job(spec())

    assert (told.value.status_code, told.value.detail) == (400, detail)
    assert told.value.reasons == reasons
    assert told.value.body in str(told.value)


@pytest.mark.parametrize("body", ["", "<html>", "[" * 100_000, "\udcff"])
async def test_a_refusal_that_is_no_json_is_told_as_it_is(
    client: ComputeHordeClient, facilitator: FakeFacilitator, spec: SpecMaker, body: str
) -> None:
    raw = body.encode("utf-8", "surrogateescape")
    facilitator.trouble.append(httpx.Response(400, content=raw))

    with pytest.raises(ComputeHordeAPIError) as told:
        await client.create_job(spec())

    assert told.value.detail == told.value.body == raw.decode(errors="replace")
    assert told.value.reasons == {}

import asyncio
import hashlib
import json
from collections import deque
from collections.abc import AsyncIterator

import httpx
import pytest
from bittensor_wallet import Keypair
from typing_extensions import override

from compute_horde_common.clock import HandWoundClock
from compute_horde_sdk.v1 import (
    AdaptiveSampling,
    ComputeHordeClient,
    ComputeHordeError,
    ComputeHordeJob,
    ComputeHordeJobResult,
    ComputeHordeJobTimeoutError,
    ComputeHordeValidationError,
    CrossValidation,
    Difference,
    HTTPOutputVolume,
    Verdict,
    exact,
    json_equal,
)
from tests.conftest import VALIDATOR, SpecMaker
from tests.facilitator import Entry, FakeFacilitator
from tests.winding import wound

WELL: list[Entry] = ["sent", "accepted", "completed"]
BADLY: list[Entry] = ["sent", "accepted", "failed"]
WITH_UPLOAD = {
    "output_volumes": {"/output/a": HTTPOutputVolume(http_method="PUT", url="https://up/a")}
}


class Miners(FakeFacilitator):
    """The facilitator of an ordinary and a trusted miner: each has its own course and output."""

    def __init__(self, clock: HandWoundClock) -> None:
        super().__init__(clock)
        self.ordinary: deque[list[Entry]] = deque()
        self.trusted: deque[list[Entry]] = deque()
        self.said = {False: "42", True: "42"}
        self.reports: list[dict[str, object]] = []
        self.refuses_reports: httpx.Response | None = None

    @override
    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/cheated-job/"):
            self.reports.append(json.loads(request.content))
            return self.refuses_reports or httpx.Response(201, text="noted")
        if not request.url.path.endswith("/job-docker/"):
            return super().answer(request)
        is_trusted = json.loads(request.content)["on_trusted_miner"]
        courses = self.trusted if is_trusted else self.ordinary
        self.plans.append(courses.popleft() if courses else WELL)
        response = super().answer(request)
        self.plans.clear()
        if response.is_success:
            self.jobs[response.json()["uuid"]].members["stdout"] = self.said[is_trusted]
        return response


@pytest.fixture
def facilitator(clock: HandWoundClock) -> Miners:
    return Miners(clock)


@pytest.fixture
async def client(
    facilitator: Miners, clock: HandWoundClock, keypair: Keypair
) -> AsyncIterator[ComputeHordeClient]:
    async with ComputeHordeClient(
        keypair,
        VALIDATOR,
        facilitator_url="http://facilitator",
        clock=clock,
        transport=facilitator.transport,
    ) as opened:
        yield opened


def digest(text: str) -> dict[str, str]:
    return {"stdout": hashlib.sha256(text.encode()).hexdigest()}


async def test_a_job_that_is_not_drawn_runs_alone(
    client: ComputeHordeClient, facilitator: Miners, spec: SpecMaker, clock: HandWoundClock
) -> None:
    found = await wound(clock, client.cross_validate(spec(), sample=0))

    assert found == CrossValidation(found.job, Verdict.NOT_SAMPLED)
    assert (found.sampled, found.job.status) == (False, "completed")
    assert [body["on_trusted_miner"] for body in facilitator.bodies] == [False]


async def test_a_job_that_is_drawn_is_compared_with_its_copy(
    client: ComputeHordeClient, facilitator: Miners, spec: SpecMaker, clock: HandWoundClock
) -> None:
    found = await wound(clock, client.cross_validate(spec(), sample=1))

    assert found == CrossValidation(found.job, Verdict.MATCH, found.trusted_job)
    assert found.sampled
    assert [body["on_trusted_miner"] for body in facilitator.bodies] == [False, True]
    assert facilitator.reports == []


async def test_a_miner_that_gives_something_else_is_reported_with_evidence(
    client: ComputeHordeClient, facilitator: Miners, spec: SpecMaker, clock: HandWoundClock
) -> None:
    facilitator.said[False] = "41"

    found = await wound(clock, client.cross_validate(spec(), sample=1))

    assert (found.verdict, found.report, found.report_error) == ("mismatch", "noted", None)
    assert found.difference == Difference("stdout at character 1", "'41'", "'42'")
    assert found.trusted_job is not None
    job, trusted = found.job.uuid, found.trusted_job.uuid
    assert found.evidence == {
        "reason": "result_mismatch",
        "job_uuid": job,
        "trusted_job_uuid": trusted,
        "difference": {"where": "stdout at character 1", "actual": "'41'", "expected": "'42'"},
        "actual": digest("41"),
        "expected": digest("42"),
    }
    assert facilitator.reports == [
        {"job_uuid": job, "trusted_job_uuid": trusted, "details": found.evidence}
    ]


async def test_nobody_is_reported_who_should_not_be(
    client: ComputeHordeClient, facilitator: Miners, spec: SpecMaker, clock: HandWoundClock
) -> None:
    facilitator.said[False] = "41"

    found = await wound(clock, client.cross_validate(spec(), sample=1, report=False))

    assert (found.verdict, found.report, facilitator.reports) == ("mismatch", None, [])


@pytest.mark.parametrize("status", [400, 404])
async def test_a_report_that_is_refused_loses_nothing(
    client: ComputeHordeClient,
    facilitator: Miners,
    spec: SpecMaker,
    clock: HandWoundClock,
    status: int,
) -> None:
    facilitator.said[False] = "41"
    facilitator.refuses_reports = httpx.Response(status, json={"detail": "Reported before."})

    found = await wound(clock, client.cross_validate(spec(), sample=1))

    assert (found.verdict, found.report) == ("mismatch", None)
    assert "Reported before." in str(found.report_error)


async def test_nothing_in_a_job_tells_that_it_is_checked(
    client: ComputeHordeClient, facilitator: Miners, spec: SpecMaker, clock: HandWoundClock
) -> None:
    job_spec = spec(args=["a"], env={"B": "c"}, **WITH_UPLOAD)

    for sample in (0, 1):
        await wound(clock, client.cross_validate(job_spec, sample=sample))

    unchecked, checked, copy = (
        request for request in facilitator.requests if request.url.path.endswith("/job-docker/")
    )
    assert checked.content == unchecked.content
    assert list(checked.headers) == list(unchecked.headers)
    assert json.loads(copy.content) == {
        name: True if name == "on_trusted_miner" else value
        for name, value in json.loads(checked.content).items()
        if name != "uploads"
    }


async def test_the_copy_uploads_to_places_of_its_own(
    client: ComputeHordeClient, facilitator: Miners, spec: SpecMaker, clock: HandWoundClock
) -> None:
    volumes = {"/output/a": HTTPOutputVolume(http_method="PUT", url="https://up/trusted")}

    await wound(
        clock,
        client.cross_validate(spec(**WITH_UPLOAD), sample=1, trusted_output_volumes=volumes),
    )

    urls = [json.dumps(body["uploads"]) for body in facilitator.bodies]
    assert ["https://up/a" in urls[0], "https://up/trusted" in urls[1]] == [True, True]


async def test_both_run_at_the_same_time(
    client: ComputeHordeClient, facilitator: Miners, spec: SpecMaker, clock: HandWoundClock
) -> None:
    facilitator.ordinary.append(["sent"] * 100)

    with pytest.raises(ComputeHordeJobTimeoutError):
        await wound(clock, client.cross_validate(spec(), sample=1, timeout=1))

    assert [job.history[-1] for job in facilitator.jobs.values()] == ["sent", "completed"]


async def test_the_copy_of_a_job_that_fails_is_cancelled(
    client: ComputeHordeClient, facilitator: Miners, spec: SpecMaker, clock: HandWoundClock
) -> None:
    facilitator.ordinary.append(BADLY)
    facilitator.trusted.append(["sent"] * 1000)

    found = await wound(clock, client.cross_validate(spec(), sample=1))

    assert (found.verdict, found.reason) == ("undecided", "the job is failed: no reason given")
    assert found.trusted_job is not None
    assert f"POST /api/v1/jobs/{found.trusted_job.uuid}/cancel/" in facilitator.calls
    assert found.trusted_job.cancelled


async def test_the_copy_of_a_job_that_takes_too_long_is_cancelled(
    client: ComputeHordeClient, facilitator: Miners, spec: SpecMaker, clock: HandWoundClock
) -> None:
    facilitator.ordinary.append(["sent"] * 1000)
    facilitator.trusted.append(["sent"] * 1000)

    with pytest.raises(ComputeHordeJobTimeoutError) as told:
        await wound(clock, client.cross_validate(spec(), sample=1, timeout=2))

    job, trusted = facilitator.jobs
    assert told.value.job_uuid == job
    assert f"POST /api/v1/jobs/{trusted}/cancel/" in facilitator.calls


async def test_whoever_stops_waiting_pays_for_no_copy(
    client: ComputeHordeClient, facilitator: Miners, spec: SpecMaker, clock: HandWoundClock
) -> None:
    facilitator.ordinary.append(["sent"] * 1000)
    facilitator.trusted.append(["sent"] * 1000)
    work = asyncio.ensure_future(client.cross_validate(spec(), sample=1))
    while len(facilitator.streams) < 2:
        await clock.advance(0.05)

    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work

    assert f"POST /api/v1/jobs/{list(facilitator.jobs)[1]}/cancel/" in facilitator.calls


async def test_a_copy_that_fails_accuses_nobody(
    client: ComputeHordeClient, facilitator: Miners, spec: SpecMaker, clock: HandWoundClock
) -> None:
    facilitator.said[False] = "41"
    facilitator.trusted.append(BADLY)

    found = await wound(clock, client.cross_validate(spec(), sample=1))

    assert (found.verdict, found.job.status) == ("undecided", "completed")
    assert found.reason == "the trusted copy is failed: no reason given"
    assert facilitator.reports == []


async def test_a_copy_that_is_refused_or_late_does_not_lose_the_job(
    client: ComputeHordeClient, facilitator: Miners, spec: SpecMaker, clock: HandWoundClock
) -> None:
    facilitator.job_trouble.extend([None, httpx.Response(403, text="no trusted miner")])
    refused = await wound(clock, client.cross_validate(spec(), sample=1))
    facilitator.trusted.append(["sent"] * 1000)
    late = await wound(clock, client.cross_validate(spec(), sample=1, timeout=3))

    assert (refused.verdict, refused.trusted_job) == ("undecided", None)
    assert "no trusted miner" in str(refused.reason)
    assert (late.verdict, late.job.status) == ("undecided", "completed")
    assert "did not complete within 3 seconds" in str(late.reason)
    assert late.trusted_job is not None
    assert f"POST /api/v1/jobs/{late.trusted_job.uuid}/cancel/" in facilitator.calls


async def test_a_comparator_that_fails_accuses_nobody(
    client: ComputeHordeClient, facilitator: Miners, spec: SpecMaker, clock: HandWoundClock
) -> None:
    def compare(result: ComputeHordeJobResult, trusted: ComputeHordeJobResult) -> bool:
        raise KeyError(result.stdout + trusted.stdout)

    found = await wound(clock, client.cross_validate(spec(), sample=1, compare=compare))

    assert (found.verdict, found.reason) == ("undecided", "the comparator failed: KeyError: '4242'")


async def test_a_comparator_decides_what_is_the_same(
    client: ComputeHordeClient, facilitator: Miners, spec: SpecMaker, clock: HandWoundClock
) -> None:
    facilitator.said = {False: "[41.999]", True: "[42]"}

    close = json_equal(rel_tol=0.01)
    found = [
        await wound(clock, client.cross_validate(spec(), sample=1, compare=compare))
        for compare in (close, json_equal())
    ]

    assert [each.verdict for each in found] == ["match", "mismatch"]
    assert found[1].difference == Difference("stdout: $[0]", "41.999", "42")


async def test_what_the_network_failed_is_run_again_before_it_is_compared(
    client: ComputeHordeClient, facilitator: Miners, spec: SpecMaker, clock: HandWoundClock
) -> None:
    facilitator.ordinary.extend([["sent", "rejected"], WELL])
    facilitator.trusted.extend([["sent", "horde_failed"], WELL])
    attempts: list[str] = []

    def attempted(job: ComputeHordeJob) -> None:
        attempts.append(job.uuid)

    found = await wound(
        clock, client.cross_validate(spec(), sample=1, job_attempt_callback=attempted)
    )

    assert found.verdict == "match"
    assert len(facilitator.jobs) == 4
    assert attempts[-1] == found.job.uuid
    assert len(attempts) == 2


async def test_what_a_callback_raises_ends_both(
    client: ComputeHordeClient, facilitator: Miners, spec: SpecMaker, clock: HandWoundClock
) -> None:
    def callback(_: ComputeHordeJob) -> None:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        await wound(clock, client.cross_validate(spec(), sample=1, job_attempt_callback=callback))

    trusted = list(facilitator.jobs)[1]
    assert f"POST /api/v1/jobs/{trusted}/cancel/" in facilitator.calls


async def test_a_sampling_learns_from_checks(
    client: ComputeHordeClient, facilitator: Miners, spec: SpecMaker, clock: HandWoundClock
) -> None:
    sampling = AdaptiveSampling(first=1, least=1)

    matches = []
    for said in ("42", "42", "41"):
        facilitator.said[False] = said
        await wound(clock, client.cross_validate(spec(), sample=sampling))
        matches.append(sampling.matches)

    assert matches == [1, 2, 0]


@pytest.mark.parametrize(
    ("changes", "arguments", "problem"),
    [
        ({"streaming": True}, {}, "streaming: a streaming job cannot be cross-validated"),
        ({}, {"sample": 2}, "sample: must be a number from 0"),
        ({}, {"sample": "0.1"}, "sample: must be a number from 0"),
        ({}, {"compare": exact}, r"compare: must be exact\(\)"),
        ({}, {"compare": "exact"}, r"compare: must be exact\(\)"),
        (
            {},
            {
                "trusted_output_volumes": {
                    "/etc/x": HTTPOutputVolume(http_method="PUT", url="https://up")
                }
            },
            "^trusted_output_volumes",
        ),
        ({"docker_image": ""}, {}, "docker_image"),
    ],
)
async def test_what_cannot_work_is_refused_before_any_draw(
    client: ComputeHordeClient,
    facilitator: Miners,
    spec: SpecMaker,
    changes: dict[str, object],
    arguments: dict[str, object],
    problem: str,
) -> None:
    with pytest.raises(ComputeHordeValidationError, match=problem):
        await client.cross_validate(spec(**changes), **({"sample": 0} | arguments))  # type: ignore[arg-type]  # wrong ones

    assert facilitator.requests == []


async def test_a_job_that_is_refused_is_an_error(
    client: ComputeHordeClient, facilitator: Miners, spec: SpecMaker, clock: HandWoundClock
) -> None:
    facilitator.job_trouble.append(httpx.Response(400, text="no"))

    with pytest.raises(ComputeHordeError, match="no"):
        await wound(clock, client.cross_validate(spec(), sample=1))

    trusted = next(iter(facilitator.jobs))
    assert f"POST /api/v1/jobs/{trusted}/cancel/" in facilitator.calls

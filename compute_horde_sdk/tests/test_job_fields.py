import dataclasses

import httpx
import pytest

from compute_horde_common.clock import HandWoundClock
from compute_horde_sdk.v1 import (
    ComputeHordeAPIError,
    ComputeHordeClient,
    ComputeHordeJobFields,
    ComputeHordeJobSpec,
    ComputeHordeValidationError,
    ExecutorClass,
    HTTPOutputVolume,
)
from tests.conftest import SpecMaker
from tests.facilitator import FakeFacilitator
from tests.winding import wound

OUT = HTTPOutputVolume(http_method="PUT", url="http://files.example/out")
TRUSTED_OUT = HTTPOutputVolume(http_method="PUT", url="http://files.example/trusted")


def test_fields_are_those_of_a_spec() -> None:
    fields = [field.name for field in dataclasses.fields(ComputeHordeJobSpec)]

    assert list(ComputeHordeJobFields.__annotations__) == fields


async def test_a_job_can_be_given_by_its_fields(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    await client.create_job(
        executor_class=ExecutorClass.always_on__test,
        job_namespace="SN12.0",
        docker_image="alpine",
        args=["-v"],
    )
    by_fields = facilitator.last_body
    await client.create_job(
        ComputeHordeJobSpec(ExecutorClass.always_on__test, "SN12.0", "alpine", args=["-v"])
    )

    assert by_fields == facilitator.last_body
    assert by_fields["args"] == ["-v"]


async def test_a_job_given_by_its_fields_can_run_on_the_trusted_miner(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    await client.create_job(
        executor_class="always_on.test",
        job_namespace="SN12.0",
        docker_image="alpine",
        on_trusted_miner=True,
    )

    assert facilitator.last_body["on_trusted_miner"] is True


NAMED = {"executor_class": "always_on.test", "job_namespace": "SN12.0", "docker_image": "alpine"}


@pytest.mark.parametrize(
    ("positional", "named", "told"),
    [
        ((), {}, "job_spec: must be a ComputeHordeJobSpec, or give its fields by name"),
        ((None,), {}, "job_spec: must be a ComputeHordeJobSpec"),
        (("always_on.test",), {}, "job_spec: must be a ComputeHordeJobSpec"),
        (("spec",), NAMED, r"job_spec: give a ComputeHordeJobSpec or fields \(executor_class, "),
        ((), NAMED | {"image": "x"}, "image: is no field of a job spec; there are executor_class"),
        ((), {"job_namespace": "SN12.0", "docker_image": "a"}, "executor_class: is missing"),
    ],
    ids=["nothing", "none", "no spec", "both", "unknown field", "missing field"],
)
async def test_what_is_no_job_is_not_sent(
    client: ComputeHordeClient,
    facilitator: FakeFacilitator,
    positional: tuple[object, ...],
    named: dict[str, object],
    told: str,
) -> None:
    with pytest.raises(ComputeHordeValidationError, match=f"^{told}"):
        await client.create_job(*positional, **named)  # type: ignore[call-overload]  # on purpose

    assert facilitator.requests == []


async def test_a_job_and_its_copy_on_the_trusted_miner_are_created_together(
    client: ComputeHordeClient, facilitator: FakeFacilitator, spec: SpecMaker
) -> None:
    job = await client.create_job(
        spec(output_volumes={"/output/a": OUT}),
        run_cross_validation=True,
        trusted_output_volumes={"/output/a": TRUSTED_OUT},
    )

    first, second = (request for request in facilitator.bodies if "docker_image" in request)
    assert job.trusted_job is not None
    assert [job.uuid, job.trusted_job.uuid] == list(facilitator.jobs)
    assert [first.pop("on_trusted_miner"), second.pop("on_trusted_miner")] == [False, True]
    assert "files.example/out" in str(first.pop("uploads"))
    assert "files.example/trusted" in str(second.pop("uploads"))
    assert first == second


async def test_a_trusted_copy_uploads_nothing_by_itself(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    job = await client.create_job(
        executor_class="always_on.test",
        job_namespace="SN12.0",
        docker_image="alpine",
        output_volumes={"/output/a": OUT},
        run_cross_validation=True,
    )

    assert job.trusted_job is not None
    assert ["uploads" in body for body in facilitator.bodies] == [True, False]


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"run_cross_validation": True, "on_trusted_miner": True}, "run_cross_validation"),
        ({"trusted_output_volumes": {"/output/a": OUT}}, "trusted_output_volumes"),
        (
            {"run_cross_validation": True, "trusted_output_volumes": {"/tmp/a": OUT}},  # noqa: S108 - a path in the job
            "trusted_output_volumes['/tmp/a']",
        ),
        ({"run_cross_validation": True, "trusted_output_volumes": 1}, "trusted_output_volumes"),
    ],
    ids=["the copy of a copy", "uploads of no copy", "uploads of no output", "no uploads"],
)
async def test_a_cross_validation_that_makes_no_sense_is_not_sent(
    client: ComputeHordeClient,
    facilitator: FakeFacilitator,
    spec: SpecMaker,
    more: dict[str, object],
    field: str,
) -> None:
    with pytest.raises(ComputeHordeValidationError) as refused:
        await client.create_job(spec(), **more)  # type: ignore[call-overload]  # on purpose

    assert refused.value.field == field
    assert facilitator.requests == []


async def test_a_job_whose_copy_is_refused_is_cancelled(
    client: ComputeHordeClient,
    facilitator: FakeFacilitator,
    spec: SpecMaker,
    clock: HandWoundClock,
) -> None:
    facilitator.job_trouble.extend([None, httpx.Response(400, json=["no trusted miner"])])

    with pytest.raises(ComputeHordeAPIError, match="no trusted miner"):
        await wound(clock, client.create_job(spec(), run_cross_validation=True))

    (uuid,) = facilitator.jobs
    assert facilitator.calls[-1] == f"POST /api/v1/jobs/{uuid}/cancel/"

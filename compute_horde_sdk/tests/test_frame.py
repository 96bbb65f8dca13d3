"""A job that is too large for validators is not even sent."""

import re

import pytest

from compute_horde_common.protocol import rest
from compute_horde_common.protocol.base import encode
from compute_horde_common.protocol.facilitator_validator import MAX_FRAME_TO_VALIDATOR, JobRequest
from compute_horde_sdk.v1 import (
    ComputeHordeClient,
    ComputeHordeValidationError,
    HTTPOutputVolume,
    InlineInputVolume,
)
from tests.conftest import SpecMaker
from tests.facilitator import FakeFacilitator

PUT = HTTPOutputVolume(http_method="PUT", url="https://f.test/o")


async def test_the_limit_is_that_of_the_message_to_the_byte(
    client: ComputeHordeClient, facilitator: FakeFacilitator, spec: SpecMaker
) -> None:
    def of(characters: int) -> dict[str, object]:
        return {"args": ["ż" + "a" * characters], "output_volumes": {"/output/a": PUT}}

    with pytest.raises(ComputeHordeValidationError, match=r"^args: the job takes") as refused:
        await client.create_job(spec(**of(MAX_FRAME_TO_VALIDATOR)))
    told = re.search(r"takes (\d+) bytes", str(refused.value))
    assert told is not None
    most = 2 * MAX_FRAME_TO_VALIDATOR - int(told[1])
    with pytest.raises(ComputeHordeValidationError, match=f"{MAX_FRAME_TO_VALIDATOR + 1} bytes"):
        await client.create_job(spec(**of(most + 1)))
    assert facilitator.requests == []

    await client.create_job(spec(**of(most)))

    body = rest.JobCreate.model_validate_json(facilitator.last.content)
    signature = rest.signature_from_headers(dict(facilitator.last.headers))
    passed_on = JobRequest.of("0" * 36, body.spec(), signature, body.job_namespace)
    assert len(encode(passed_on).encode()) == MAX_FRAME_TO_VALIDATOR


async def test_the_largest_field_is_named(client: ComputeHordeClient, spec: SpecMaker) -> None:
    large = InlineInputVolume.from_file_contents("a", bytes(800_000))

    with pytest.raises(ComputeHordeValidationError, match="HTTPInputVolume") as refused:
        await client.create_job(spec(input_volumes={"/volume/": large}))

    assert refused.value.field == "input_volumes"


async def test_a_class_that_only_other_networks_have_can_be_measured(
    client: ComputeHordeClient, facilitator: FakeFacilitator, spec: SpecMaker
) -> None:
    await client.create_job(spec(executor_class="another.class"))

    assert facilitator.last_body["executor_class"] == "another.class"

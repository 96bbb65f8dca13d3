"""Whatever is given for a job or said about one, no error but the SDK's own comes out."""

import contextlib
import dataclasses
from collections.abc import Awaitable
from decimal import Decimal

import httpx
import pytest

from compute_horde_common.clock import HandWoundClock
from compute_horde_sdk.v1 import (
    ComputeHordeClient,
    ComputeHordeError,
    ComputeHordeJobSpec,
    ComputeHordeValidationError,
)
from tests.conftest import SpecMaker
from tests.facilitator import FakeFacilitator
from tests.winding import wound

NESTED: list[object] = []
NESTED.append(NESTED)
ODD: dict[str, object] = {
    "nothing": None,
    "a number": 7,
    "below zero": -1,
    "huge": 10**400,
    "infinite": float("inf"),
    "no number": float("nan"),
    "a decimal": Decimal("1.5"),
    "yes": True,
    "no text": "",
    "a text": "a text",
    "a NUL": "a\0b",
    "half a pair": "\ud800",
    "half a pair in a list": ["\udfff"],
    "half a pair in a dict": {"/volume/\ud800": "\ud800"},
    "long": "x" * 10_000,
    "bytes": b"bytes",
    "a list": ["a", 1, None],
    "a list of itself": NESTED,
    "a dict": {"a": 1, 2: "b"},
    "a set": {"a"},
    "an object": object(),
    "a class": int,
}
FIELDS = [field.name for field in dataclasses.fields(ComputeHordeJobSpec)]


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
@pytest.mark.parametrize("field", [each for each in FIELDS if each != "streaming"])
async def test_an_odd_value_is_taken_or_refused(
    client: ComputeHordeClient,
    facilitator: FakeFacilitator,
    spec: SpecMaker,
    field: str,
    odd: object,
) -> None:
    refused = await refusal(client.create_job(spec(**{field: odd})))

    told = f"{refused}".encode().decode()
    assert refused is None or told.startswith(field)
    assert bool(facilitator.jobs) == (refused is None)


async def refusal(work: Awaitable[object]) -> ComputeHordeValidationError | None:
    try:
        await work
    except ComputeHordeValidationError as error:
        return error
    return None


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
async def test_odd_arguments_of_other_calls_are_taken_or_refused(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock, odd: object
) -> None:
    job = await client.get_job(facilitator.add_job("completed").uuid)
    calls = [
        lambda: client.get_job(odd),  # type: ignore[arg-type]  # on purpose
        lambda: client.cancel_job(odd),  # type: ignore[arg-type]  # on purpose
        lambda: client.get_jobs(odd, odd),  # type: ignore[arg-type]  # on purpose
        lambda: client.get_jobs(status=odd),  # type: ignore[arg-type]  # on purpose
        lambda: client.report_cheated_job(job.uuid, job.uuid, details=odd),
        lambda: client.get_log_page(job.uuid, odd),  # type: ignore[arg-type]  # on purpose
        lambda: job.wait(odd),  # type: ignore[arg-type]  # on purpose
    ]

    for call in calls:
        with contextlib.suppress(ComputeHordeError):
            await wound(clock, call())


ANSWERS: list[object] = [
    {"uuid": "u", "status_history": [{"status": "sent", "created_at": 1e300}]},
    {"uuid": "u", "status_history": [{"status": "sent", "created_at": "2026-13-99"}]},
    {"uuid": "u", "status_history": {"status": "sent"}},
    {"uuid": 1, "status_history": [[]]},
    [[[]]],
    "text",
    10**400,
]


@pytest.mark.parametrize("said", ANSWERS, ids=str)
async def test_an_odd_answer_is_an_error_of_ours(
    client: ComputeHordeClient, facilitator: FakeFacilitator, spec: SpecMaker, said: object
) -> None:
    facilitator.trouble.append(httpx.Response(200, json=said))

    with pytest.raises(ComputeHordeError, match="malformed response"):
        await client.create_job(spec())

import pytest

from compute_horde_sdk.v1 import (
    ComputeHordeClient,
    ComputeHordeJobStatus,
    ComputeHordeValidationError,
)
from tests.facilitator import FakeFacilitator

ENDS = ["sent", "completed", "failed", "completed", "horde_failed"]
WANTED: dict[str, tuple[object, list[str]]] = {
    "a member": (ComputeHordeJobStatus.COMPLETED, ["completed"]),
    "a text": ("completed", ["completed"]),
    "a text as it is printed": ("Horde Failed", ["horde_failed"]),
    "a list": (["Failed", ComputeHordeJobStatus.SENT], ["failed", "sent"]),
    "a set with doubles": ({"Completed", "completed"}, ["completed"]),
    "what a status says": (str(ComputeHordeJobStatus.FAILED), ["failed"]),
}


@pytest.fixture
def made(facilitator: FakeFacilitator) -> dict[str, str]:
    """The status of each job."""
    return {facilitator.add_job(status).uuid: status for status in ENDS}


@pytest.mark.parametrize("ignored", [False, True], ids=["asked for", "not understood"])
@pytest.mark.parametrize(("status", "names"), WANTED.values(), ids=WANTED.keys())
async def test_jobs_are_listed_by_status(
    client: ComputeHordeClient,
    facilitator: FakeFacilitator,
    made: dict[str, str],
    status: str,
    names: list[str],
    *,
    ignored: bool,
) -> None:
    facilitator.ignores_status = ignored

    iterated = [job.uuid async for job in client.iter_jobs(status=status)]
    paged = [job.uuid for job in await client.get_jobs(status=status)]

    assert facilitator.last.url.params.get_list("status") == names
    assert iterated == paged == [uuid for uuid, each in made.items() if each in names]


async def test_without_a_filter_none_is_sent(
    client: ComputeHordeClient, facilitator: FakeFacilitator, made: dict[str, str]
) -> None:
    assert [job.uuid async for job in client.iter_jobs()] == list(made)
    assert facilitator.last.url.query == b"page=1&page_size=10"


@pytest.mark.parametrize("status", ["lost", ["sent", "lost"], [], 7, [None]], ids=repr)
async def test_a_status_that_is_none_is_not_sent(
    client: ComputeHordeClient, facilitator: FakeFacilitator, status: str
) -> None:
    with pytest.raises(ComputeHordeValidationError) as refused:
        await client.get_jobs(status=status)
    with pytest.raises(ComputeHordeValidationError):
        _ = [job async for job in client.iter_jobs(status=status)]

    assert refused.value.field == "status"
    assert facilitator.requests == []


@pytest.mark.parametrize("gone", [1, 10, 15, 25])
async def test_jobs_that_leave_the_list_hide_no_others(
    client: ComputeHordeClient, facilitator: FakeFacilitator, gone: int
) -> None:
    added = [facilitator.add_job("sent") for _ in range(35)]

    found: list[str] = []
    async for job in client.iter_jobs(status="sent"):
        found.append(job.uuid)
        if len(found) == 10:
            for known in added[:gone]:
                known.history.append("received")

    assert found == [job.uuid for job in added if job in added[:10] or len(job.history) == 1]


@pytest.mark.parametrize(
    ("page", "size", "field"),
    [(0, 10, "page"), (-1, 10, "page"), (1.5, 10, "page"), ("x", 10, "page"), (1, 0, "page_size"),
     (10**6000, 10, "page"), (1, None, "page_size"), ("٣", 1, "page")],
    ids=["zero", "below", "fraction", "text", "no size", "huge", "none", "other digits"],
)  # fmt: skip
async def test_a_page_that_cannot_be_is_not_asked_for(
    client: ComputeHordeClient, facilitator: FakeFacilitator, page: int, size: int, field: str
) -> None:
    with pytest.raises(ComputeHordeValidationError) as refused:
        await client.get_jobs(page=page, page_size=size)

    assert refused.value.field == field
    assert facilitator.requests == []


async def test_a_page_may_be_given_as_text(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    await client.get_jobs("1", "5")  # type: ignore[arg-type]  # as the published client lets it be

    assert facilitator.last.url.query == b"page=1&page_size=5"

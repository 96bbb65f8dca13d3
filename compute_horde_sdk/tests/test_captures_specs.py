"""What our client makes of specs, beside what the published SDK 0.0.19 was seen to make of them.

``sent`` means that a request is sent; anything else is the error with which none is.
"""

from types import MappingProxyType
from typing import Any

import pytest

from compute_horde_sdk.v1 import (
    ComputeHordeClient,
    ComputeHordeError,
    ComputeHordeValidationError,
    HTTPInputVolume,
    HTTPOutputVolume,
    HuggingfaceInputVolume,
    InlineInputVolume,
    InputVolume,
)
from tests.conftest import SpecMaker
from tests.facilitator import FakeFacilitator

FILE = HTTPInputVolume(url="http://e.example/x")
PUT = HTTPOutputVolume(http_method="PUT", url="http://e.example/x")

Members = dict[str, Any]

# Members of the spec, and what both SDKs put into the request for them.
ALIKE: dict[str, tuple[Members, Members]] = {
    "class as text": (
        {"executor_class": "always_on.llm.a6000"},
        {"executor_class": "always_on.llm.a6000"},
    ),
    "env none": ({"env": None}, {"env": {}}),
    "args tuple": ({"args": ("a", "b")}, {"args": ["a", "b"]}),
    "args none": ({"args": None}, {"args": []}),
    "artifacts empty": ({"artifacts_dir": ""}, {"artifacts_dir": ""}),
    "artifacts none": ({"artifacts_dir": None}, {"artifacts_dir": None}),
    "limit zero": ({"upload_time_limit_sec": 0}, {"upload_time_limit": 0}),
    "inputs empty": ({"input_volumes": {}}, {"volumes": []}),
    "outputs empty": ({"output_volumes": {}}, {"uploads": []}),
}
# Members of the spec, and what becomes of them: published, ours.
CASES: dict[str, tuple[Members, str, str]] = {
    "env mapping": ({"env": MappingProxyType({"A": "1"})}, "TypeError", "sent"),
    "limit as text": ({"download_time_limit_sec": "7"}, "ComputeHordeError", "sent"),
    "limit as float": ({"execution_time_limit_sec": 2.0}, "ComputeHordeError", "sent"),
    "limit negative": ({"execution_time_limit_sec": -1}, "sent", "refused"),
    "env number": ({"env": {"A": 1}}, "ValueError", "refused"),
    "arg number": ({"args": [1]}, "ValueError", "refused"),
    "args text": ({"args": "echo hi"}, "ValueError", "refused"),
    "args generator": ({"args": (each for each in "ab")}, "TypeError", "refused"),
    "artifacts relative": ({"artifacts_dir": "artifacts"}, "sent", "refused"),
    "image none": ({"docker_image": None}, "ComputeHordeError", "refused"),
    "image empty": ({"docker_image": ""}, "sent", "refused"),
    "limit fraction": ({"execution_time_limit_sec": 1.5}, "ValueError", "refused"),
    "limit none": ({"upload_time_limit_sec": None}, "ValueError", "refused"),
    "class none": ({"executor_class": None}, "ComputeHordeError", "refused"),
    "input elsewhere": ({"input_volumes": {"/data/x": FILE}}, "ValueError", "refused"),
    "input prefix": ({"input_volumes": {"/volume": FILE}}, "ValueError", "refused"),
    "input no file": ({"input_volumes": {"/volume/": FILE}}, "sent", "refused"),
    "input leaving": ({"input_volumes": {"/volume/../etc/x": FILE}}, "sent", "refused"),
    "input no volume": ({"input_volumes": {"/volume/x": "http://x"}}, "AttributeError", "refused"),
    "input no URL": (
        {"input_volumes": {"/volume/x": HTTPInputVolume(url="not a url")}},
        "sent",
        "refused",
    ),
    "output elsewhere": ({"output_volumes": {"/data/x": PUT}}, "ValueError", "refused"),
    "form fields of a PUT": (
        {
            "output_volumes": {
                "/output/x": HTTPOutputVolume(
                    http_method="PUT", url="http://e.example", form_fields={"a": "b"}
                )
            }
        },
        "ValueError",
        "refused",
    ),
}
# Paths below /output/: both SDKs send the first, and refuse the second.
GOOD_OUTPUTS = ["x" * 255, "a b", "-rf", "~", "*", "..a", "a..", "…"]
BAD_OUTPUTS = [
    "",
    "a/",
    "./a",
    "../a",
    "a/../b",
    "a//b",
    "/a",
    "a\\b",
    "a\0b",
    "x" * 256,
    "é" * 128,
]


@pytest.mark.parametrize(("members", "expected"), ALIKE.values(), ids=ALIKE.keys())
async def test_what_both_send_is_the_same(
    client: ComputeHordeClient,
    facilitator: FakeFacilitator,
    spec: SpecMaker,
    members: Members,
    expected: Members,
) -> None:
    await client.create_job(spec(**members))

    assert {name: facilitator.last_body[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("members", "ours"),
    [(members, ours) for members, _, ours in CASES.values()],
    ids=CASES.keys(),
)
async def test_what_cannot_work_is_refused_before_it_is_sent(
    client: ComputeHordeClient,
    facilitator: FakeFacilitator,
    spec: SpecMaker,
    members: Members,
    ours: str,
) -> None:
    outcome = "sent"
    try:
        await client.create_job(spec(**members))
    except ComputeHordeValidationError:
        outcome = "refused"

    assert outcome == ours
    assert len(facilitator.calls) == (ours == "sent")


def test_nothing_that_works_with_the_published_sdk_is_refused() -> None:
    refused = {
        name
        for name, (_, published, ours) in CASES.items()
        if published == "sent" and ours == "refused"
    }

    # The facilitator or the executor would refuse these.
    assert refused == {
        "limit negative",
        "artifacts relative",
        "image empty",
        "input no file",
        "input leaving",
        "input no URL",
    }


@pytest.mark.parametrize("path", GOOD_OUTPUTS, ids=lambda path: f"{path[:9]!r}")
async def test_a_path_that_the_published_sdk_sends_is_sent(
    client: ComputeHordeClient, facilitator: FakeFacilitator, spec: SpecMaker, path: str
) -> None:
    await client.create_job(spec(output_volumes={f"/output/{path}": PUT}))

    (upload,) = facilitator.last_body["uploads"]  # type: ignore[misc]  # one, as the claim is
    assert upload["relative_path"] == path


@pytest.mark.parametrize("path", BAD_OUTPUTS, ids=lambda path: f"{path[:9]!r}")
async def test_a_path_that_the_published_sdk_refuses_is_refused(
    client: ComputeHordeClient, facilitator: FakeFacilitator, spec: SpecMaker, path: str
) -> None:
    with pytest.raises(ComputeHordeValidationError, match="output_volumes"):
        await client.create_job(spec(output_volumes={f"/output/{path}": PUT}))

    assert facilitator.requests == []


def test_volumes_take_what_the_published_ones_take() -> None:
    hub = HuggingfaceInputVolume(repo_id="gpt2", allow_patterns=("a", "b"), token="ignored")
    inline = InlineInputVolume.from_file_contents("d/a.txt", "text")

    assert hub.model_dump() == {
        "repo_id": "gpt2",
        "repo_type": None,
        "revision": None,
        "allow_patterns": ["a", "b"],
    }
    assert HTTPInputVolume(url=b"http://x", colour="ignored").url == "http://x"
    assert InlineInputVolume(contents=b"abc").contents == "abc"
    assert all(isinstance(each, InputVolume) for each in (hub, inline, FILE))


@pytest.mark.parametrize("method", ["put", "PATCH"])
def test_a_method_that_the_published_sdk_refuses_is_refused(method: Any) -> None:  # noqa: ANN401 - wrong on purpose
    with pytest.raises(ComputeHordeValidationError, match="http_method"):
        HTTPOutputVolume(http_method=method, url="http://e.example")


@pytest.mark.parametrize("details", [{"a": float("nan")}, {"a": {1}}], ids=repr)
async def test_details_that_are_no_json_are_refused(
    client: ComputeHordeClient,
    facilitator: FakeFacilitator,
    details: Any,  # noqa: ANN401 - wrong on purpose
) -> None:
    with pytest.raises(ComputeHordeValidationError, match="details"):
        await client.report_cheated_job("a", "b", details=details)

    assert facilitator.requests == []


@pytest.mark.parametrize("name", ["../jobs", "", "a/b"])
async def test_a_name_that_is_no_jobs_is_not_asked_for(
    client: ComputeHordeClient, facilitator: FakeFacilitator, name: str
) -> None:
    with pytest.raises(ComputeHordeError, match="job_uuid"):
        await client.get_job(name)

    assert facilitator.requests == []

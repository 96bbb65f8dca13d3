import json

import pytest

from compute_horde_common.chain.keys import verify
from compute_horde_common.protocol import rest, signatures
from compute_horde_sdk.v1 import (
    ComputeHordeClient,
    ComputeHordeError,
    ComputeHordeValidationError,
    HTTPInputVolume,
    HTTPOutputVolume,
    InlineInputVolume,
)
from tests.conftest import SpecMaker
from tests.facilitator import FakeFacilitator

FILE = HTTPInputVolume(url="http://files.example/data")
PUT = HTTPOutputVolume(http_method="PUT", url="http://files.example/out")
FORM = HTTPOutputVolume(http_method="PUT", url="http://files.example/o", form_fields={"a": "b"})

SIGNED = {
    "executor_class": "always_on.test",
    "docker_image": "alpine:3.20",
    "args": [],
    "env": {},
    "use_gpu": True,
    "artifacts_dir": "",
    "on_trusted_miner": False,
    "download_time_limit": 10,
    "execution_time_limit": 30,
    "upload_time_limit": 20,
    "streaming_start_time_limit": 5,
    "streaming_details": None,
    "volumes": [],
    "uploads": [],
}
REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "no name of a class": ({"executor_class": "A6000 please"}, "executor_class"),
    "a member's name": ({"executor_class": "always_on__test"}, "executor_class"),
    "no class": ({"executor_class": None}, "executor_class"),
    "no image": ({"docker_image": ""}, "docker_image"),
    "image with a space": ({"docker_image": "my image"}, "docker_image"),
    "namespace is a number": ({"job_namespace": 12}, "job_namespace"),
    "args are one text": ({"args": "--fast"}, "args"),
    "an argument is a number": ({"args": ["--n", 5]}, "args.1"),
    "an argument has a NUL": ({"args": ["a\0b"]}, "args"),
    "env is a list": ({"env": ["A=1"]}, "env"),
    "a value in env is a number": ({"env": {"A": 1}}, "env.A"),
    "a name in env has =": ({"env": {"A=B": "1"}}, "env"),
    "relative artifacts": ({"artifacts_dir": "artifacts"}, "artifacts_dir"),
    "artifacts above": ({"artifacts_dir": "/a/../b"}, "artifacts_dir"),
    "no time to run": ({"execution_time_limit_sec": 0}, "execution_time_limit_sec"),
    "endless limit": ({"execution_time_limit_sec": float("inf")}, "execution_time_limit_sec"),
    "huge limit": ({"execution_time_limit_sec": 10**5000}, "execution_time_limit_sec"),
    "an argument is no Unicode": ({"args": ["\ud800"]}, "args.0"),
    "a value in env is no Unicode": ({"env": {"A": "\ud800"}}, "env.A"),
    "a name in env is no Unicode": ({"env": {"\ud800": "1"}}, "env"),
    "a namespace is no Unicode": ({"job_namespace": "\ud800"}, "job_namespace"),
    "an image is no Unicode": ({"docker_image": "\ud800"}, "docker_image"),
    "artifacts are no Unicode": ({"artifacts_dir": "/\ud800"}, "artifacts_dir"),
    "one place twice": (
        {"input_volumes": {"/volume/a": FILE, "/volume/./a": FILE}},
        "input_volumes['/volume/./a']",
    ),
    "an input is no Unicode": (
        {"input_volumes": {"/volume/\ud800": FILE}},
        "input_volumes.0.relative_path",
    ),
    "negative limit": ({"execution_time_limit_sec": -1}, "execution_time_limit_sec"),
    "limit of a year": ({"download_time_limit_sec": 31_536_000}, "download_time_limit_sec"),
    "no limit": ({"upload_time_limit_sec": None}, "upload_time_limit_sec"),
    "half a second": (
        {"streaming_start_time_limit_sec": 0.5},
        "streaming_start_time_limit_sec",
    ),
    "inputs are a list": ({"input_volumes": [FILE]}, "input_volumes"),
    "an input is text": ({"input_volumes": {"/volume/a": "x"}}, "input_volumes['/volume/a']"),
    "input elsewhere": ({"input_volumes": {"/etc/a": FILE}}, "input_volumes['/etc/a']"),
    "input at the root": ({"input_volumes": {"/volume": FILE}}, "input_volumes['/volume']"),
    "file without name": ({"input_volumes": {"/volume/a/": FILE}}, "input_volumes['/volume/a/']"),
    "input above": (
        {"input_volumes": {"/volume/../a": FILE}},
        "input_volumes['/volume/../a'].relative_path",
    ),
    "input is no base64": (
        {"input_volumes": {"/volume/a": InlineInputVolume(contents="not base64!")}},
        "input_volumes['/volume/a']",
    ),
    "input is no URL": (
        {"input_volumes": {"/volume/a": HTTPInputVolume(url="files/data")}},
        "input_volumes['/volume/a'].url",
    ),
    "outputs are text": ({"output_volumes": "/output/a"}, "output_volumes"),
    "an output is an input": (
        {"output_volumes": {"/output/a": FILE}},
        "output_volumes['/output/a']",
    ),
    "output elsewhere": ({"output_volumes": {"/tmp/a": PUT}}, "output_volumes['/tmp/a']"),  # noqa: S108
    "output is a folder": (
        {"output_volumes": {"/output/a/": PUT}},
        "output_volumes['/output/a/'].relative_path",
    ),
    "output above": (
        {"output_volumes": {"/output/a/../../b": PUT}},
        "output_volumes['/output/a/../../b'].relative_path",
    ),
    "PUT with a form": ({"output_volumes": {"/output/a": FORM}}, "output_volumes['/output/a']"),
}


@pytest.mark.parametrize(("changes", "field"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_cannot_work_is_named_and_not_sent(
    client: ComputeHordeClient,
    facilitator: FakeFacilitator,
    spec: SpecMaker,
    changes: dict[str, object],
    field: str,
) -> None:
    with pytest.raises(ComputeHordeValidationError) as refused:
        await client.create_job(spec(**changes))

    assert refused.value.field == field
    assert str(refused.value).startswith(f"{field}: ")
    assert isinstance(refused.value, ComputeHordeError)
    assert isinstance(refused.value, ValueError)
    assert facilitator.requests == []


async def test_a_class_that_only_its_network_knows_is_asked_for(
    client: ComputeHordeClient, facilitator: FakeFacilitator, spec: SpecMaker
) -> None:
    await client.create_job(spec(executor_class="always_on.gpu.a100-80gb"))

    body = facilitator.last_body
    signature = rest.signature_from_headers(dict(facilitator.last.headers))
    text = json.dumps(SIGNED | {"executor_class": body["executor_class"]}, separators=(",", ":"))
    assert body["executor_class"] == "always_on.gpu.a100-80gb"
    signatures.check(signature, json.dumps(text).encode(), verify)


async def test_the_fault_says_what_to_write_instead(
    client: ComputeHordeClient, spec: SpecMaker
) -> None:
    with pytest.raises(ComputeHordeValidationError, match=r"is called 'always_on\.test'"):
        await client.create_job(spec(executor_class="always_on__test"))
    with pytest.raises(ComputeHordeValidationError, match=r"there are .*always_on\.gpu-24gb"):
        await client.create_job(spec(executor_class="GPU"))


async def test_two_faults_are_told_at_once(client: ComputeHordeClient, spec: SpecMaker) -> None:
    with pytest.raises(ComputeHordeValidationError) as refused:
        await client.create_job(spec(docker_image="", upload_time_limit_sec=-1))

    assert "docker_image" in str(refused.value)
    assert "upload_time_limit_sec" in str(refused.value)


async def test_a_request_that_is_too_large_is_not_sent(
    client: ComputeHordeClient, facilitator: FakeFacilitator, spec: SpecMaker
) -> None:
    large = InlineInputVolume.from_file_contents("a", bytes(3_000_000))

    with pytest.raises(ComputeHordeValidationError, match="HTTPInputVolume") as refused:
        await client.create_job(spec(input_volumes={"/volume/": large}))

    assert refused.value.field == "input_volumes"
    assert facilitator.requests == []


def test_nothing_is_checked_when_a_spec_is_made(spec: SpecMaker) -> None:
    assert spec(docker_image="", args=7).docker_image == ""


@pytest.mark.parametrize("filename", ["", "/etc/a", "../a", "a/../../b", "folder/"])
def test_a_file_outside_of_its_folder_is_refused(filename: str) -> None:
    with pytest.raises(ComputeHordeValidationError) as refused:
        InlineInputVolume.from_file_contents(filename, b"x")

    assert refused.value.field == "filename"


def test_a_volume_without_what_it_needs_names_it() -> None:
    with pytest.raises(ComputeHordeValidationError) as refused:
        HTTPOutputVolume(http_method="PATCH", url="http://files.example/")

    assert refused.value.field == "HTTPOutputVolume.http_method"

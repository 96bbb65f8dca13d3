"""What cannot work is refused before anything is sent, with the field and what to do."""

import pytest
from bittensor_wallet import Keypair

from compute_horde_sdk.v1 import (
    ComputeHordeClient,
    ComputeHordeError,
    ComputeHordeValidationError,
    HTTPInputVolume,
    HTTPOutputVolume,
    HuggingfaceInputVolume,
    InlineInputVolume,
)
from tests.conftest import SpecMaker
from tests.recorder import ALICE, BOB, Recorder

WEB = HTTPInputVolume(url="https://files.test/x")
PUT = HTTPOutputVolume(http_method="PUT", url="https://files.test/x")


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("executor_class", {"executor_class": "always_on.nothing"}),
        ("executor_class", {"executor_class": None}),
        ("docker_image", {"docker_image": "UPPER CASE"}),
        ("docker_image", {"docker_image": ""}),
        ("job_namespace", {"job_namespace": "n" * 101}),
        ("args", {"args": "echo hi"}),
        ("args", {"args": 5}),
        ("args.1", {"args": ["a", 1]}),
        ("env.A", {"env": {"A": 1}}),
        ("env", {"env": {"A=B": "1"}}),
        ("env", {"env": ["A"]}),
        ("artifacts_dir", {"artifacts_dir": "relative"}),
        ("artifacts_dir", {"artifacts_dir": "/a/../.."}),
        ("download_time_limit_sec", {"download_time_limit_sec": -1}),
        ("execution_time_limit_sec", {"execution_time_limit_sec": 1.5}),
        ("upload_time_limit_sec", {"upload_time_limit_sec": None}),
        ("streaming_start_time_limit_sec", {"streaming_start_time_limit_sec": 10**9}),
        ("input_volumes", {"input_volumes": [WEB]}),
        ("input_volumes['/volume/x']", {"input_volumes": {"/volume/x": "x"}}),
        ("input_volumes['/data/x']", {"input_volumes": {"/data/x": WEB}}),
        ("input_volumes['/volume/']", {"input_volumes": {"/volume/": WEB}}),
        ("input_volumes['/volume/../x']", {"input_volumes": {"/volume/../x": WEB}}),
        ("input_volumes['/volume//x']", {"input_volumes": {"/volume//x": WEB}}),
        ("output_volumes['/x']", {"output_volumes": {"/x": PUT}}),
        ("output_volumes['/output/']", {"output_volumes": {"/output/": PUT}}),
        ("output_volumes['/output/a/./b']", {"output_volumes": {"/output/a/./b": PUT}}),
        ("output_volumes['/output/x']", {"output_volumes": {"/output/x": WEB}}),
    ],
)
async def test_a_wrong_spec_is_not_sent(
    client: ComputeHordeClient,
    facilitator: Recorder,
    spec: SpecMaker,
    field: str,
    wrong: dict[str, object],
) -> None:
    with pytest.raises(ComputeHordeValidationError) as refused:
        await client.create_job(spec(**wrong))

    assert refused.value.field.startswith(field)
    assert isinstance(refused.value, ValueError)
    assert facilitator.requests == []


async def test_volumes_are_checked_for_what_they_hold(
    client: ComputeHordeClient, spec: SpecMaker
) -> None:
    wrong = {
        "/volume/url": HTTPInputVolume(url="ftp://files.test/x"),
        "/volume/repo": HuggingfaceInputVolume(repo_id=""),
        "/volume/inline": InlineInputVolume(contents="not base64!"),
    }

    for path, volume in wrong.items():
        with pytest.raises(ComputeHordeValidationError) as refused:
            await client.create_job(spec(input_volumes={path: volume}))
        assert refused.value.field.startswith(f"input_volumes['{path}']")


async def test_put_uploads_take_no_form_fields(client: ComputeHordeClient, spec: SpecMaker) -> None:
    upload = HTTPOutputVolume(http_method="PUT", url="https://f.test/", form_fields={"a": "b"})

    with pytest.raises(ComputeHordeValidationError, match="use http_method='POST'"):
        await client.create_job(spec(output_volumes={"/output/x": upload}))


async def test_a_request_that_is_too_large_is_not_sent(
    client: ComputeHordeClient, facilitator: Recorder, spec: SpecMaker
) -> None:
    large = InlineInputVolume.from_file_contents("x", b"x" * 2_000_000)

    with pytest.raises(ComputeHordeValidationError, match="HTTPInputVolume"):
        await client.create_job(spec(input_volumes={"/volume/": large}))

    assert facilitator.requests == []


@pytest.mark.parametrize(
    "make",
    [
        lambda: HTTPOutputVolume(http_method="put", url="https://f.test/"),  # type: ignore[arg-type]  # what is refused
        lambda: HTTPInputVolume(url=None),  # type: ignore[arg-type]  # what is refused
        lambda: InlineInputVolume.from_file_contents("../x", b""),
        lambda: InlineInputVolume.from_file_contents("folder/", b""),
    ],
)
def test_a_volume_that_cannot_be_is_no_pydantic_error(make: "type[object]") -> None:
    with pytest.raises(ComputeHordeValidationError):
        make()


@pytest.mark.parametrize("url", ["", "facilitator", "ftp://f.test", "http://", "http://f:port", 5])
def test_a_facilitators_url_must_be_one(url: object) -> None:
    with pytest.raises(ComputeHordeValidationError, match="facilitator_url"):
        ComputeHordeClient(Keypair.create_from_uri("//Alice"), BOB, facilitator_url=url)  # type: ignore[arg-type]  # what is refused


@pytest.mark.parametrize("hotkey", [None, ALICE, object()])
def test_a_hotkey_must_sign(hotkey: object) -> None:
    with pytest.raises(ComputeHordeValidationError, match=r"Wallet\(name="):
        ComputeHordeClient(hotkey, BOB)  # type: ignore[arg-type]  # what is refused


async def test_a_public_key_cannot_log_in(facilitator: Recorder) -> None:
    key = Keypair(ss58_address=ALICE)
    client = ComputeHordeClient(key, BOB, None, "http://f.test", transport=facilitator)

    with pytest.raises(ComputeHordeError, match="cannot sign"):
        await client.authenticate()


async def test_a_path_is_no_jobs_uuid(client: ComputeHordeClient, facilitator: Recorder) -> None:
    with pytest.raises(ComputeHordeValidationError, match="job_uuid"):
        await client.get_job("../jobs")

    assert facilitator.requests == []

import base64
import io
import json
import zipfile
from types import MappingProxyType

import pytest
from bittensor_wallet import Keypair

from compute_horde_common.chain.keys import verify
from compute_horde_common.jobs.spec import JobSpec
from compute_horde_common.protocol import rest, signatures
from compute_horde_common.protocol.signatures import BadSignature
from compute_horde_sdk.v1 import (
    ComputeHordeClient,
    ComputeHordeNotFoundError,
    ComputeHordeValidationError,
    HTTPInputVolume,
    HTTPOutputVolume,
    HuggingfaceInputVolume,
    InlineInputVolume,
)
from tests.conftest import VALIDATOR, SpecMaker
from tests.facilitator import FakeFacilitator

ONE = "00000000-0000-4000-8000-000000000001"
TWO = "00000000-0000-4000-8000-000000000002"
MINIMAL_TEXT = (
    '{"executor_class":"always_on.test","docker_image":"alpine:3.20","args":["żółć"],"env":{},'
    '"use_gpu":true,"artifacts_dir":"","on_trusted_miner":false,"download_time_limit":10,'
    '"execution_time_limit":30,"upload_time_limit":20,"streaming_start_time_limit":5,'
    '"streaming_details":null,"volumes":[],"uploads":[]}'
)


def zip_of(name: str, contents: bytes) -> str:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, contents)
    return base64.b64encode(buffer.getvalue()).decode()


def unpacked(contents: object) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(str(contents)))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


async def test_a_small_job_has_the_published_members_in_their_order(
    client: ComputeHordeClient, facilitator: FakeFacilitator, spec: SpecMaker
) -> None:
    await client.create_job(spec())

    assert facilitator.calls == ["POST /api/v1/job-docker/"]
    assert list(facilitator.last_body.items()) == [
        ("target_validator_hotkey", VALIDATOR),
        ("executor_class", "always_on.test"),
        ("docker_image", "alpine:3.20"),
        ("job_namespace", "SN12.0"),
        ("args", []),
        ("env", {}),
        ("use_gpu", True),
        ("artifacts_dir", None),
        ("on_trusted_miner", False),
        ("download_time_limit", 10),
        ("execution_time_limit", 30),
        ("streaming_start_time_limit", 5),
        ("upload_time_limit", 20),
    ]


async def test_a_job_with_everything_has_the_published_members(
    client: ComputeHordeClient, facilitator: FakeFacilitator, spec: SpecMaker
) -> None:
    folder = zip_of("a.txt", b"a")
    inputs = {
        "/volume/models": HuggingfaceInputVolume(repo_id="team/model", revision="main"),
        "/volume/": InlineInputVolume(contents=folder),
        "/volume/in/data.bin": HTTPInputVolume(url="https://files.example/data?x=1"),
    }
    outputs = {
        "/output/a b.png": HTTPOutputVolume(
            http_method="PUT", url="https://out.example/a", signed_headers={"x-acl": "private"}
        ),
        "/output/logs/run.txt": HTTPOutputVolume(
            http_method="POST", url="https://out.example/", form_fields={"key": "run"}
        ),
    }

    await client.create_job(
        spec(
            args=("-c", "echo ü"),
            env=MappingProxyType({"A": "1"}),
            artifacts_dir="/artifacts",
            input_volumes=inputs,
            output_volumes=outputs,
        ),
        on_trusted_miner=True,
    )

    body = facilitator.last_body
    assert (body["args"], body["env"]) == (["-c", "echo ü"], {"A": "1"})
    assert (body["artifacts_dir"], body["on_trusted_miner"]) == ("/artifacts", True)
    assert list(body)[-2:] == ["volumes", "uploads"]
    assert json.dumps(body["volumes"]) == json.dumps(
        [
            {
                "volume_type": "huggingface_volume",
                "repo_id": "team/model",
                "repo_type": None,
                "revision": "main",
                "relative_path": "models",
                "allow_patterns": None,
                "token": None,
            },
            {"volume_type": "inline", "contents": folder, "relative_path": ""},
            {
                "volume_type": "single_file",
                "url": "https://files.example/data?x=1",
                "relative_path": "in/data.bin",
            },
        ]
    )
    assert json.dumps(body["uploads"]) == json.dumps(
        [
            {
                "output_upload_type": "single_file_put",
                "url": "https://out.example/a",
                "relative_path": "a b.png",
                "signed_headers": {"x-acl": "private"},
            },
            {
                "output_upload_type": "single_file_post",
                "url": "https://out.example/",
                "form_fields": {"key": "run"},
                "relative_path": "logs/run.txt",
                "signed_headers": None,
            },
        ]
    )


async def test_no_volumes_are_another_thing_than_none(
    client: ComputeHordeClient, facilitator: FakeFacilitator, spec: SpecMaker
) -> None:
    await client.create_job(spec(args=None, env=None, input_volumes={}))

    body = facilitator.last_body
    assert (body["args"], body["env"], body["volumes"]) == ([], {}, [])
    assert "uploads" not in body


@pytest.mark.parametrize("compress", [False, True])
async def test_file_contents_become_a_folder_with_that_file(
    client: ComputeHordeClient, facilitator: FakeFacilitator, spec: SpecMaker, *, compress: bool
) -> None:
    volume = InlineInputVolume.from_file_contents("in/a.txt", b"hello" * 50, compress=compress)

    await client.create_job(spec(input_volumes={"/volume/data": volume}))

    (sent,) = rest.JobCreate.model_validate(facilitator.last_body).volumes
    assert sent.relative_path == "data"
    assert unpacked(volume.contents) == {"in/a.txt": b"hello" * 50}
    assert (len(volume.contents) < 300) == compress


async def test_contents_that_are_no_zip_become_the_file_at_their_path(
    client: ComputeHordeClient, facilitator: FakeFacilitator, spec: SpecMaker
) -> None:
    plain = InlineInputVolume(contents=base64.b64encode(b"version=2").decode())

    await client.create_job(spec(input_volumes={"/volume/data/version.txt": plain}))

    volumes = facilitator.last_body["volumes"]
    assert isinstance(volumes, list)
    assert volumes[0]["relative_path"] == "data"
    assert unpacked(volumes[0]["contents"]) == {"version.txt": b"version=2"}


async def test_a_jobs_signature_is_over_the_published_text(
    client: ComputeHordeClient, facilitator: FakeFacilitator, spec: SpecMaker
) -> None:
    await client.create_job(spec(args=["żółć"]))

    headers = dict(facilitator.last.headers)
    signature = rest.signature_from_headers(headers)
    assert headers["x-ch-signature-scope"] == "SignedFields"
    assert signature.timestamp_ns == client.clock.now().timestamp() * 1e9
    signatures.check(signature, json.dumps(MINIMAL_TEXT).encode(), verify)


@pytest.mark.parametrize("limit", [7, "7", 7.0], ids=repr)
async def test_what_is_sent_is_what_is_signed(
    client: ComputeHordeClient, facilitator: FakeFacilitator, spec: SpecMaker, limit: object
) -> None:
    await client.create_job(spec(artifacts_dir="", execution_time_limit_sec=limit))

    sent = facilitator.last_body
    signature = rest.signature_from_headers(dict(facilitator.last.headers))
    assert repr(sent["execution_time_limit"]) == "7"
    signatures.check(signature, signatures.job_payload(JobSpec.model_validate(sent)), verify)
    other = signatures.job_payload(JobSpec.model_validate(sent | {"args": ["more"]}))
    with pytest.raises(BadSignature):
        signatures.check(signature, other, verify)


async def test_a_request_has_the_published_headers(
    client: ComputeHordeClient, facilitator: FakeFacilitator, spec: SpecMaker, keypair: Keypair
) -> None:
    await client.create_job(spec())
    created = facilitator.last.headers
    await client.get_job(ONE.replace("1", "0"))
    got = facilitator.last.headers

    assert created["Content-Type"] == "application/json"
    assert created["X-CH-Signature-Type"] == "bittensor"
    assert created["X-CH-Signatory"] == keypair.ss58_address
    assert created["Idempotency-Key"]
    for headers in (created, got):
        assert headers["Authorization"] == "Bearer token-1"
        assert (headers["Realm"], headers["SubnetID"]) == ("mainnet", "12")
    assert not any(name.startswith("x-ch-") for name in got)


async def test_every_job_has_its_own_idempotency_key(
    client: ComputeHordeClient, facilitator: FakeFacilitator, spec: SpecMaker
) -> None:
    keys = set()
    for _ in range(3):
        await client.create_job(spec())
        keys.add(facilitator.last.headers["Idempotency-Key"])

    assert len(keys) == 3


@pytest.mark.parametrize("details", [None, "differs", {"ü": [1, 2.5, None]}], ids=repr)
async def test_a_cheat_report_is_signed_whole(
    client: ComputeHordeClient, facilitator: FakeFacilitator, details: object
) -> None:
    answer = await client.report_cheated_job(ONE, TWO, details=details)

    body = {"job_uuid": ONE, "trusted_job_uuid": TWO, "details": details}
    signature = rest.signature_from_headers(dict(facilitator.last.headers))
    text = json.dumps(body, sort_keys=True)
    assert answer == '{"message": "noted"}'
    assert facilitator.calls == ["POST /api/v1/cheated-job/"]
    assert list(facilitator.last_body.items()) == list(body.items())
    assert signature.signature_scope == "FullRequest"
    signatures.check(signature, json.dumps(text).encode(), verify)


@pytest.mark.parametrize("details", [{1, 2}, float("nan"), b"bytes"], ids=repr)
async def test_evidence_that_is_no_json_is_not_sent(
    client: ComputeHordeClient, facilitator: FakeFacilitator, details: object
) -> None:
    with pytest.raises(ComputeHordeValidationError) as refused:
        await client.report_cheated_job(ONE, TWO, details=details)

    assert refused.value.field == "details"
    assert facilitator.requests == []


@pytest.mark.parametrize("uuid", ["", "../jobs", "a/b", "a?b", "ü"])
async def test_a_uuid_that_leads_elsewhere_is_not_asked_for(
    client: ComputeHordeClient, facilitator: FakeFacilitator, uuid: str
) -> None:
    with pytest.raises(ComputeHordeValidationError) as refused:
        await client.get_job(uuid)

    assert refused.value.field == "job_uuid"
    assert facilitator.requests == []


async def test_a_page_is_asked_for_by_number_and_size(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    added = [facilitator.add_job() for _ in range(7)]

    jobs = await client.get_jobs(page=2, page_size=3)

    assert [job.uuid for job in jobs] == [job.uuid for job in added[3:6]]
    assert facilitator.last.url.query == b"page=2&page_size=3"
    with pytest.raises(ComputeHordeNotFoundError):
        await client.get_jobs(page=9)


async def test_all_jobs_are_asked_for_page_by_page(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    added = [facilitator.add_job() for _ in range(23)]

    found = []
    async for job in client.iter_jobs():
        found.append(job.uuid)
        assert len(facilitator.calls) == (len(found) + 9) // 10

    assert found == [job.uuid for job in added]


async def test_a_job_that_moves_on_to_the_next_page_is_found_once(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    added = [facilitator.add_job() for _ in range(11)]

    found: list[str] = []
    async for job in client.iter_jobs():
        if not found:
            newest = facilitator.add_job()
            facilitator.jobs = {newest.uuid: newest, **facilitator.jobs}
        found.append(job.uuid)

    assert found == [job.uuid for job in added]


async def test_no_jobs_are_no_page_more(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    assert [job async for job in client.iter_jobs()] == []
    assert len(facilitator.calls) == 1

"""Our requests are those of the published SDK 0.0.19, byte by byte.

What we add is: the headers in `ADDED`, ``status`` in the query of a list where somebody asks for a
status, and one question whether the facilitator pushes. Nothing else passes.
"""

import ipaddress
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from bittensor_wallet import Keypair
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256

from compute_horde_common.clock import HandWoundClock
from compute_horde_sdk.v1 import (
    ComputeHordeClient,
    ComputeHordeJobSpec,
    ExecutorClass,
    HTTPInputVolume,
    HTTPOutputVolume,
    HuggingfaceInputVolume,
    InlineInputVolume,
)
from tests.published import (
    BOB,
    EVERYTHING,
    JOB,
    JOB_UUID,
    LENGTHS,
    MINIMAL,
    REPORTED,
    TRUSTED_UUID,
    VECTORS,
    ZIP,
    Vector,
)
from tests.recorder import (
    HOST,
    TOKEN,
    Exchange,
    StrictFacilitator,
    compact,
    digest,
    signed_text,
)
from tests.winding import wound

ADDED = {
    "create": frozenset({"idempotency-key"}),
    "get": frozenset[str](),
    "report": frozenset[str](),
}
"""Headers that the published SDK does not send, by operation."""

INPUTS = {
    "/volume/models/model01": HuggingfaceInputVolume(repo_id="my-username/my-model"),
    "/volume/ds": HuggingfaceInputVolume(
        repo_id="u/d", repo_type="dataset", revision="main", allow_patterns=["*.json", "*.txt"]
    ),
    "/volume/data": InlineInputVolume(contents=ZIP),
    "/volume/data/dataset.json": HTTPInputVolume(
        url="https://my-dataset-bucket.s3.amazonaws.com/sample-dataset/data.json"
    ),
    "/volume/": InlineInputVolume(contents=ZIP),
}
OUTPUTS = {
    "/output/image.png": HTTPOutputVolume(
        http_method="PUT",
        url="https://my-image-bucket.s3.amazonaws.com/images/image.png?X-Amz-Signature=00",
        signed_headers={"x-amz-acl": "private"},
    ),
    "/output/sub/dir/log.txt": HTTPOutputVolume(
        http_method="POST",
        url="https://my-image-bucket.s3.amazonaws.com/",
        form_fields={"key": "log.txt", "policy": "cA=="},
    ),
}


def spec(**more: Any) -> ComputeHordeJobSpec:  # noqa: ANN401 - members of many types
    return ComputeHordeJobSpec(
        executor_class=ExecutorClass.always_on__llm__a6000,
        job_namespace="SN123.0",
        docker_image="my-username/my-image:latest",
        download_time_limit_sec=10,
        execution_time_limit_sec=60,
        upload_time_limit_sec=20,
        **more,
    )


def created(body: dict[str, Any], status: int = 201) -> Exchange:
    return Exchange(
        "POST",
        "/api/v1/job-docker/",
        httpx.Response(status, json=JOB) if status < 300 else httpx.Response(status),
        body=body,
        scope="SignedFields",
        added=ADDED["create"],
    )


def got(target: str, answer: object) -> Exchange:
    return Exchange("GET", target, httpx.Response(200, json=answer), added=ADDED["get"])


def reported(details: object) -> Exchange:
    return Exchange(
        "POST",
        "/api/v1/cheated-job/",
        httpx.Response(201, json={"message": "noted"}),
        body={"job_uuid": JOB_UUID, "trusted_job_uuid": TRUSTED_UUID, "details": details},
        scope="FullRequest",
        added=ADDED["report"],
    )


def page(following: str | None) -> dict[str, object]:
    return {"count": 23, "next": following, "previous": None, "results": [JOB]}


@pytest.fixture
def strict() -> StrictFacilitator:
    facilitator = StrictFacilitator()
    facilitator.expect_login()
    return facilitator


@pytest.fixture(params=[False], ids=[""])
async def client(
    strict: StrictFacilitator,
    clock: HandWoundClock,
    keypair: Keypair,
    request: pytest.FixtureRequest,
) -> AsyncIterator[ComputeHordeClient]:
    async with ComputeHordeClient(
        keypair,
        BOB,
        facilitator_url=f"http://{HOST}",
        push=request.param,
        clock=clock,
        transport=strict.transport,
    ) as opened:
        yield opened
    assert not strict.expected


@pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS.keys())
def test_the_recorder_knows_what_is_signed(vector: Vector) -> None:
    assert signed_text(vector.body, vector.scope) == vector.text
    assert digest(vector.text, 1760000000123456789).hex() == vector.digest


def test_the_recorder_knows_how_bodies_are_written() -> None:
    bodies = {
        "minimal": MINIMAL,
        "trusted": MINIMAL | {"on_trusted_miner": True},
        "report": {"job_uuid": JOB_UUID, "trusted_job_uuid": TRUSTED_UUID, "details": REPORTED},
        "report without details": {
            "job_uuid": JOB_UUID,
            "trusted_job_uuid": TRUSTED_UUID,
            "details": None,
        },
    }

    assert {name: len(compact(body).encode()) for name, body in bodies.items()} == LENGTHS


async def test_a_login_is_the_published_one(client: ComputeHordeClient) -> None:
    await client.authenticate()


async def test_the_smallest_job_is_sent_as_published(
    client: ComputeHordeClient, strict: StrictFacilitator
) -> None:
    strict.expect(created(MINIMAL))

    job = await client.create_job(spec())

    assert job.uuid == JOB_UUID


async def test_a_trusted_job_is_sent_as_published(
    client: ComputeHordeClient, strict: StrictFacilitator
) -> None:
    strict.expect(created(MINIMAL | {"on_trusted_miner": True}))

    await client.create_job(spec(), on_trusted_miner=True)


async def test_a_job_with_everything_is_sent_as_published(
    client: ComputeHordeClient, strict: StrictFacilitator
) -> None:
    strict.expect(created(EVERYTHING))

    await client.create_job(
        spec(
            args=["main.py", "--block", "10000"],
            env={"HF_HUB_ENABLE_HF_TRANSFER": "1"},
            artifacts_dir="/artifacts",
            input_volumes=INPUTS,
            output_volumes=OUTPUTS,
        )
    )


async def test_fields_instead_of_a_spec_are_sent_as_published(
    client: ComputeHordeClient, strict: StrictFacilitator
) -> None:
    strict.expect(created(MINIMAL))

    await client.create_job(
        executor_class=ExecutorClass.always_on__llm__a6000,
        job_namespace="SN123.0",
        docker_image="my-username/my-image:latest",
        download_time_limit_sec=10,
        execution_time_limit_sec=60,
        upload_time_limit_sec=20,
    )


@pytest.mark.parametrize("name", ["env_args_unicode", "minimal", "trusted"])
async def test_a_body_that_was_signed_by_the_published_sdk_is_sent_by_ours(
    client: ComputeHordeClient, strict: StrictFacilitator, name: str
) -> None:
    body = VECTORS[name].body
    strict.expect(created(body))

    await client.create_job(
        spec(args=body["args"], env=body["env"], artifacts_dir=body["artifacts_dir"]),
        on_trusted_miner=body["on_trusted_miner"],
    )


async def test_a_streaming_job_is_sent_as_published(
    client: ComputeHordeClient, strict: StrictFacilitator, clock: HandWoundClock
) -> None:
    body = MINIMAL | {"streaming_start_time_limit": 30, "streaming_details": {"public_key": "…"}}
    strict.expect(created(body))

    job = await client.create_job(spec(streaming=True, streaming_start_time_limit_sec=30))

    sent = json.loads(strict.requests[-1].content)["streaming_details"]["public_key"]
    certificate = x509.load_pem_x509_certificate(sent.encode())
    assert certificate == job.streaming_public_cert
    _assert_published_kind(certificate, clock)


def _assert_published_kind(certificate: x509.Certificate, clock: HandWoundClock) -> None:
    public = certificate.public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    assert (public.key_size, type(certificate.signature_hash_algorithm)) == (2048, SHA256)
    assert certificate.subject == certificate.issuer
    assert certificate.subject.rfc4514_string() == "CN=localhost"
    assert certificate.not_valid_after_utc == clock.now() + timedelta(days=365)
    assert {each.oid: (each.critical, each.value) for each in certificate.extensions} == {
        x509.BasicConstraints.oid: (True, x509.BasicConstraints(ca=False, path_length=None)),
        x509.SubjectAlternativeName.oid: (
            False,
            x509.SubjectAlternativeName(
                [
                    x509.DNSName("localhost"),
                    x509.IPAddress(ipaddress.IPv4Address("127.0.0.1")),
                ]
            ),
        ),
    }


async def test_a_job_is_asked_for_as_published(
    client: ComputeHordeClient, strict: StrictFacilitator
) -> None:
    strict.expect(*[got(f"/api/v1/jobs/{JOB_UUID}/", JOB)] * 2)

    job = await client.get_job(JOB_UUID)
    await job.refresh_from_facilitator()


async def test_jobs_are_listed_as_published(
    client: ComputeHordeClient, strict: StrictFacilitator
) -> None:
    strict.expect(
        got("/api/v1/jobs/?page=1&page_size=10", page(None)),
        got("/api/v1/jobs/?page=3&page_size=10", page(None)),
        got("/api/v1/jobs/?page=2&page_size=5", page(None)),
        *(got(f"/api/v1/jobs/?page={number}&page_size=10", page("…")) for number in (1, 2)),
        got("/api/v1/jobs/?page=3&page_size=10", page(None)),
    )

    await client.get_jobs()
    await client.get_jobs(page=3)
    await client.get_jobs(page=2, page_size=5)
    assert [job.uuid async for job in client.iter_jobs()] == [JOB_UUID]


@pytest.mark.parametrize("details", [REPORTED, None], ids=["details", "no details"])
async def test_a_cheat_is_reported_as_published(
    client: ComputeHordeClient, strict: StrictFacilitator, details: dict[str, str] | None
) -> None:
    strict.expect(reported(details))

    said = await client.report_cheated_job(JOB_UUID, TRUSTED_UUID, details=details)

    assert said == '{"message":"noted"}'


async def test_a_wait_asks_as_published(
    client: ComputeHordeClient, strict: StrictFacilitator, clock: HandWoundClock
) -> None:
    ended = {**JOB, "status_history": [{**JOB["status_history"][0], "status": "completed"}]}
    asked = f"/api/v1/jobs/{JOB_UUID}/"
    strict.expect(created(MINIMAL), got(asked, JOB), got(asked, ended))

    job = await wound(clock, client.run_until_complete(spec()))

    assert job.status == "completed"


async def test_a_repeated_create_is_the_same_request(
    client: ComputeHordeClient, strict: StrictFacilitator, clock: HandWoundClock
) -> None:
    strict.expect(created(MINIMAL, 502), created(MINIMAL, 502), created(MINIMAL))

    await wound(clock, client.create_job(spec()))

    first, *others = [dict(request.headers) for request in strict.requests[2:]]
    assert others == [first, first]
    assert first["authorization"] == f"Bearer {TOKEN}"


async def test_a_wanted_status_is_the_only_addition_to_a_list(
    client: ComputeHordeClient, strict: StrictFacilitator
) -> None:
    strict.expect(got("/api/v1/jobs/?page=1&page_size=10&status=sent", page(None)))

    assert [job.uuid for job in await client.get_jobs(status="sent")] == [JOB_UUID]


@pytest.mark.parametrize("client", [True], indirect=True, ids=["push"])
async def test_a_wait_asks_once_whether_the_facilitator_pushes(
    client: ComputeHordeClient, strict: StrictFacilitator, clock: HandWoundClock
) -> None:
    ended = {**JOB, "status_history": [{**JOB["status_history"][0], "status": "completed"}]}
    asked = f"/api/v1/jobs/{JOB_UUID}/"
    events = Exchange(
        "GET", f"{asked}events/?logs=false", httpx.Response(404), accept="text/event-stream"
    )
    strict.expect(created(MINIMAL), events, got(asked, ended), created(MINIMAL), got(asked, ended))

    await wound(clock, client.run_until_complete(spec()))
    await wound(clock, client.run_until_complete(spec()))

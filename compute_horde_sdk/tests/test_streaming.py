"""Each streaming job has a key of its own."""

import asyncio
import json
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from compute_horde_common.chain.keys import verify
from compute_horde_common.protocol import rest, signatures
from compute_horde_sdk.v1 import ComputeHordeClient, ComputeHordeJob
from tests.conftest import SpecMaker
from tests.facilitator import FakeFacilitator


def certificate_of(job: ComputeHordeJob) -> x509.Certificate:
    assert job.streaming_public_cert is not None
    return job.streaming_public_cert


async def test_the_certificate_is_sent_and_signed(
    client: ComputeHordeClient, facilitator: FakeFacilitator, spec: SpecMaker
) -> None:
    job = await client.create_job(spec(streaming=True))

    details = facilitator.last_body["streaming_details"]
    assert isinstance(details, dict)
    assert list(details) == ["public_key"]
    assert x509.load_pem_x509_certificate(details["public_key"].encode()) == certificate_of(job)
    text = (
        '{"executor_class":"always_on.test","docker_image":"alpine:3.20","args":[],"env":{},'
        '"use_gpu":true,"artifacts_dir":"","on_trusted_miner":false,"download_time_limit":10,'
        '"execution_time_limit":30,"upload_time_limit":20,"streaming_start_time_limit":5,'
        f'"streaming_details":{{"public_key":{json.dumps(details["public_key"])},'
        '"executor_ip":null},"volumes":[],"uploads":[]}'
    )
    signature = rest.signature_from_headers(dict(facilitator.last.headers))
    signatures.check(signature, json.dumps(text).encode(), verify)


async def test_jobs_created_at_once_keep_the_keys_that_were_sent_for_them(
    client: ComputeHordeClient, facilitator: FakeFacilitator, spec: SpecMaker
) -> None:
    jobs = await asyncio.gather(*(client.create_job(spec(streaming=True)) for _ in range(3)))

    sent = {
        x509.load_pem_x509_certificate(
            json.loads(request.content)["streaming_details"]["public_key"].encode()
        )
        for request in facilitator.requests
        if request.url.path.endswith("/job-docker/")
    }
    assert {certificate_of(job) for job in jobs} == sent
    assert len(sent) == 3
    for job in jobs:
        assert job.streaming_private_key is not None
        assert job.streaming_private_key.public_key() == certificate_of(job).public_key()


async def test_other_jobs_have_no_key(
    client: ComputeHordeClient, facilitator: FakeFacilitator, spec: SpecMaker
) -> None:
    streaming = await client.create_job(spec(streaming=True))

    plain = await client.create_job(spec())
    found = await client.get_job(streaming.uuid)

    assert "streaming_details" not in json.loads(facilitator.requests[-2].content)
    assert (plain.streaming_public_cert, plain.streaming_private_key) == (None, None)
    assert (found.streaming_public_cert, found.streaming_private_key) == (None, None)
    assert client.streaming_public_cert == streaming.streaming_public_cert


async def test_the_certificate_is_for_a_client_on_this_host(
    client: ComputeHordeClient, spec: SpecMaker
) -> None:
    certificate = certificate_of(await client.create_job(spec(streaming=True)))

    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    now = client.clock.now()
    assert certificate.subject.rfc4514_string() == "CN=localhost"
    assert certificate.issuer == certificate.subject
    assert isinstance(certificate.signature_hash_algorithm, hashes.SHA256)
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert (constraints.critical, constraints.value.ca) == (True, False)
    assert certificate.not_valid_before_utc < now
    assert certificate.not_valid_after_utc == now + timedelta(days=365)

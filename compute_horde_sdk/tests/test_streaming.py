"""Each streaming job has a key of its own."""

import asyncio
import json

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from compute_horde_sdk.v1 import ComputeHordeClient
from tests.conftest import SpecMaker
from tests.recorder import JOB, START, Recorder, job_answer, signs


async def test_the_certificate_is_sent_and_signed(
    client: ComputeHordeClient, facilitator: Recorder, spec: SpecMaker
) -> None:
    facilitator.answers = [job_answer()]

    await client.create_job(spec(streaming=True))

    request = facilitator.requests[-1]
    body = json.loads(request.content)
    assert list(body["streaming_details"]) == ["public_key"]
    pem = json.dumps(body["streaming_details"]["public_key"])
    assert signs(
        request,
        '{"executor_class":"always_on.llm.a6000","docker_image":"alpine:3.20","args":[],"env":{},'
        '"use_gpu":true,"artifacts_dir":"","on_trusted_miner":false,"download_time_limit":5,'
        '"execution_time_limit":30,"upload_time_limit":5,"streaming_start_time_limit":5,'
        f'"streaming_details":{{"public_key":{pem},"executor_ip":null}},"volumes":[],"uploads":[]}}',
    )


async def test_jobs_created_at_once_keep_their_own_keys(
    client: ComputeHordeClient, facilitator: Recorder, spec: SpecMaker
) -> None:
    facilitator.answers = [job_answer()]

    jobs = await asyncio.gather(*(client.create_job(spec(streaming=True)) for _ in range(2)))

    keys = set()
    for job in jobs:
        assert job.streaming_public_cert is not None
        assert job.streaming_private_key is not None
        public = job.streaming_private_key.public_key()
        assert job.streaming_public_cert.public_key() == public
        keys.add(public.public_numbers().n)
    assert len(keys) == 2


async def test_other_jobs_have_no_key(
    client: ComputeHordeClient, facilitator: Recorder, spec: SpecMaker
) -> None:
    facilitator.answers = [job_answer()]
    await client.create_job(spec(streaming=True))

    job = await client.create_job(spec())

    assert (job.streaming_public_cert, job.streaming_private_key) == (None, None)
    assert (await client.get_job(JOB)).streaming_private_key is None


async def test_the_certificate_is_for_a_client_on_this_host(
    client: ComputeHordeClient, facilitator: Recorder, spec: SpecMaker
) -> None:
    facilitator.answers = [job_answer()]

    certificate = (await client.create_job(spec(streaming=True))).streaming_public_cert

    assert certificate is not None
    key = certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 2048
    (name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert (name.value, certificate.issuer) == ("localhost", certificate.subject)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca) == (True, False)
    assert certificate.not_valid_before_utc < START
    assert (certificate.not_valid_after_utc - START).days == 365

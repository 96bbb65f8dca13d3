import asyncio
import gc
import threading
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from bittensor_wallet import Keypair
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from compute_horde_common.chain.keys import Hotkey
from compute_horde_sdk.v1 import (
    ComputeHordeClient,
    ComputeHordeError,
    ComputeHordeValidationError,
)
from tests.conftest import VALIDATOR, SpecMaker
from tests.facilitator import FakeFacilitator


def client_of(
    hotkey: object, facilitator: FakeFacilitator, url: str = "http://facilitator"
) -> ComputeHordeClient:
    return ComputeHordeClient(
        hotkey,  # type: ignore[arg-type]  # also those that cannot sign
        VALIDATOR,
        facilitator_url=url,
        transport=facilitator.transport,
    )


@pytest.mark.parametrize(
    ("url", "prefix"),
    [
        ("http://facilitator", ""),
        ("http://facilitator/", ""),
        ("http://facilitator/api/v1", ""),
        ("http://facilitator/api/v1/", ""),
        ("https://facilitator:8000/behind/", "/behind"),
        ("https://facilitator/behind/api/v1/", "/behind"),
    ],
)
async def test_a_facilitators_url_is_understood_with_and_without_the_api(
    facilitator: FakeFacilitator, keypair: Keypair, url: str, prefix: str
) -> None:
    paths = []

    def answer(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.path)
        inner = httpx.URL(request.url, path=request.url.path.removeprefix(prefix))
        moved = httpx.Request(
            request.method, inner, headers=request.headers, content=request.content
        )
        return facilitator.answer(moved)

    async with ComputeHordeClient(
        keypair, VALIDATOR, facilitator_url=url, transport=httpx.MockTransport(answer)
    ) as client:
        await client.get_jobs()

    assert client.facilitator_url == url
    assert paths == [f"{prefix}/auth/nonce", f"{prefix}/auth/login", f"{prefix}/api/v1/jobs/"]


@pytest.mark.parametrize(
    "url",
    ["", "facilitator", "ftp://facilitator/", "http://", "http://a:b/", "http://a/?x=1", None],
)
def test_what_is_no_url_is_refused(keypair: Keypair, url: str) -> None:
    with pytest.raises(ComputeHordeValidationError) as refused:
        ComputeHordeClient(keypair, VALIDATOR, facilitator_url=url)

    assert refused.value.field == "facilitator_url"


class OwnKey:
    """The least that a hotkey can be."""

    def __init__(self, keypair: Keypair) -> None:
        self._keypair = keypair
        self.ss58_address = str(keypair.ss58_address)

    def sign(self, data: bytes) -> bytes:
        return bytes(self._keypair.sign(data))


class WalletOf:
    def __init__(self, hotkey: object) -> None:
        self.hotkey = hotkey


@pytest.mark.parametrize("wrap", [Keypair, OwnKey, WalletOf])
async def test_keypairs_wallets_and_own_keys_sign(
    facilitator: FakeFacilitator, spec: SpecMaker, keypair: Keypair, wrap: type
) -> None:
    key = keypair if wrap is Keypair else wrap(keypair)

    async with client_of(key, facilitator) as client:
        await client.create_job(spec())

    assert facilitator.logins == 1
    assert facilitator.last.headers["X-CH-Signatory"] == keypair.ss58_address


async def test_a_wallet_of_the_wallet_library_signs(
    facilitator: FakeFacilitator, tmp_path: Path
) -> None:
    from bittensor_wallet import Wallet  # noqa: PLC0415

    hotkey = Hotkey.generate()
    hotkey.write_wallet(tmp_path, "mine", "first")

    async with client_of(
        Wallet(name="mine", hotkey="first", path=str(tmp_path)), facilitator
    ) as client:
        await client.authenticate()

    assert hotkey.ss58.encode() in facilitator.last.content


@pytest.mark.parametrize("hotkey", [None, "5Grw", 5, object(), WalletOf(None)], ids=repr)
def test_what_cannot_sign_is_refused(facilitator: FakeFacilitator, hotkey: object) -> None:
    with pytest.raises(ComputeHordeValidationError) as refused:
        client_of(hotkey, facilitator)

    assert refused.value.field == "hotkey"


async def test_a_public_key_cannot_log_in(facilitator: FakeFacilitator, keypair: Keypair) -> None:
    public = Keypair(ss58_address=keypair.ss58_address)

    async with client_of(public, facilitator) as client:
        with pytest.raises(ComputeHordeError, match="cannot sign"):
            await client.authenticate()


async def test_a_closed_client_says_so(facilitator: FakeFacilitator, keypair: Keypair) -> None:
    client = client_of(keypair, facilitator)
    async with client:
        await client.get_jobs()

    with pytest.raises(ComputeHordeError, match="closed"):
        await client.get_jobs()
    await client.aclose()


class KeptAlive(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    facilitator = FakeFacilitator()

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        url = f"http://facilitator{self.path}"
        request = httpx.Request(self.command, url, headers=dict(self.headers), content=body)
        answer = self.facilitator.answer(request)
        self.send_response(answer.status_code)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_POST = do_GET  # noqa: N815 - the server's names

    def log_message(self, *_: object) -> None:
        """Not into the tests' output."""


@pytest.fixture
def server() -> Iterator[str]:
    served = ThreadingHTTPServer(("127.0.0.1", 0), KeptAlive)
    served.daemon_threads = True
    thread = threading.Thread(target=served.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{served.server_port}"
    served.shutdown()
    thread.join(timeout=10)
    served.server_close()


def test_one_client_works_in_two_event_loops_over_real_connections(
    server: str, keypair: Keypair
) -> None:
    client = ComputeHordeClient(keypair, VALIDATOR, facilitator_url=server)

    async def ask_at_once() -> list[int]:
        answers = await asyncio.gather(*(client.get_jobs() for _ in range(5)))
        return [len(jobs) for jobs in answers]

    # The first loop's connections die with it, unclosed: that is the claim, not a fault.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        for _ in range(2):
            assert asyncio.run(ask_at_once()) == [0] * 5
        asyncio.run(client.aclose())
        gc.collect()

    assert KeptAlive.facilitator.logins == 1


async def test_each_streaming_job_has_the_key_that_was_sent_for_it(
    client: ComputeHordeClient, facilitator: FakeFacilitator, spec: SpecMaker
) -> None:
    jobs = await asyncio.gather(*(client.create_job(spec(streaming=True)) for _ in range(3)))

    sent = {
        x509.load_pem_x509_certificate(body["streaming_details"]["public_key"].encode())
        for body in (
            httpx.Response(200, content=request.content).json()
            for request in facilitator.requests
            if request.url.path.endswith("job-docker/")
        )
    }
    assert {job.streaming_public_cert for job in jobs} == sent
    assert len(sent) == 3
    for job in jobs:
        assert job.streaming_public_cert is not None
        assert job.streaming_private_key is not None
        assert job.streaming_private_key.public_key() == job.streaming_public_cert.public_key()


async def test_other_jobs_have_no_key(
    client: ComputeHordeClient, facilitator: FakeFacilitator, spec: SpecMaker
) -> None:
    streaming = await client.create_job(spec(streaming=True))
    body = facilitator.last_body

    plain = await client.create_job(spec())
    found = await client.get_job(streaming.uuid)

    assert list(body)[-1] == "streaming_details"
    assert plain.streaming_private_key is None
    assert found.streaming_private_key is None
    assert client.streaming_public_cert == streaming.streaming_public_cert


async def test_a_streaming_certificate_is_the_published_one(
    client: ComputeHordeClient, facilitator: FakeFacilitator, spec: SpecMaker
) -> None:
    job = await client.create_job(spec(streaming=True))

    certificate = job.streaming_public_cert
    assert certificate is not None
    assert certificate.subject.rfc4514_string() == "CN=localhost"
    assert isinstance(certificate.signature_hash_algorithm, hashes.SHA256)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert certificate.not_valid_before_utc < client.clock.now() < certificate.not_valid_after_utc
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    assert facilitator.last_body["streaming_details"] == {"public_key": pem}

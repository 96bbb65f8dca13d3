import asyncio
import gc
import threading
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from bittensor_wallet import Keypair

from compute_horde_sdk.v1 import (
    ComputeHordeClient,
    ComputeHordeError,
    ComputeHordeValidationError,
)
from tests.conftest import VALIDATOR
from tests.facilitator import FakeFacilitator


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
    [
        "",
        "facilitator",
        "ftp://facilitator/",
        "http://",
        "http://a:b/",
        "http://a/?x=1",
        f"http://{'a' * 64}.example/",
        "http://\ud800/",
        None,
    ],
)
def test_what_is_no_url_is_refused(keypair: Keypair, url: str) -> None:
    with pytest.raises(ComputeHordeValidationError) as refused:
        ComputeHordeClient(keypair, VALIDATOR, facilitator_url=url)

    assert refused.value.field == "facilitator_url"


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), "5", None], ids=repr)
def test_a_request_timeout_that_is_none_is_refused(keypair: Keypair, seconds: float) -> None:
    with pytest.raises(ComputeHordeValidationError) as refused:
        ComputeHordeClient(keypair, VALIDATOR, request_timeout=seconds)

    assert refused.value.field == "request_timeout"


async def test_the_facilitator_has_as_long_to_answer_as_it_is_given(
    facilitator: FakeFacilitator, keypair: Keypair
) -> None:
    async with ComputeHordeClient(
        keypair,
        VALIDATOR,
        facilitator_url="http://facilitator",
        request_timeout=2.5,
        transport=facilitator.transport,
    ) as client:
        await client.get_jobs()

    assert facilitator.last.extensions["timeout"] == {
        "connect": 5.0,
        "read": 2.5,
        "write": 5.0,
        "pool": 5.0,
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [("ALL_PROXY", "gopher://proxy"), ("ALL_PROXY", "http://a:b"), ("SSL_CERT_FILE", "/no/file")],
)
async def test_an_environment_that_allows_no_connections_is_told(
    keypair: Keypair, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    async with ComputeHordeClient(keypair, VALIDATOR) as client:
        with pytest.raises(ComputeHordeError, match=f"look at .*{name}"):
            await client.get_jobs()


class Odd:
    ss58_address = "ż"

    def sign(self, data: bytes) -> bytes:
        return data


def test_a_hotkey_whose_address_cannot_be_sent_is_refused() -> None:
    with pytest.raises(ComputeHordeValidationError, match=r"^hotkey: 'ż' is no ss58 address"):
        ComputeHordeClient(Odd(), VALIDATOR)


@pytest.mark.parametrize("close", ["close", "aclose"])
async def test_a_closed_client_says_so(client: ComputeHordeClient, close: str) -> None:
    async with client:
        await client.get_jobs()

    with pytest.raises(ComputeHordeError, match="closed"):
        await client.get_jobs()
    await getattr(client, close)()


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

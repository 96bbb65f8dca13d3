"""What a streaming job's author connects with, against servers of this process."""

import asyncio
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from compute_horde_common.clock import HandWoundClock
from compute_horde_sdk._internal.certificates import StreamingKey, new_streaming_key
from compute_horde_sdk._internal.results import ComputeHordeJobStatusEntry
from compute_horde_sdk.v1 import (
    ComputeHordeClient,
    ComputeHordeError,
    ComputeHordeJob,
    ComputeHordeJobStatus,
    ComputeHordeValidationError,
)

NOW = HandWoundClock().now()
AUTHOR = new_streaming_key(NOW)
SERVER = new_streaming_key(NOW)
ELSEWHERE = new_streaming_key(NOW, "192.0.2.1")
OTHER = new_streaming_key(NOW)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nwell")
    await writer.drain()
    writer.close()


@asynccontextmanager
async def serving(key: StreamingKey, folder: Path, *, newest: bool = True) -> AsyncIterator[int]:
    """The port of a server that lets only `AUTHOR` in, and shows ``key``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if not newest:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    key.save(folder / "server.pem")
    context.load_cert_chain(folder / "server.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=AUTHOR.pem)
    server = await asyncio.start_server(_answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture
def job(client: ComputeHordeClient) -> ComputeHordeJob:
    made = ComputeHordeJob(
        client,
        "a-job",
        streaming_server_cert=SERVER.pem,
        streaming_server_address="127.0.0.1",
        streaming_server_port=1,
        status=ComputeHordeJobStatus.STREAMING_READY,
    )
    made.attach_streaming_key(AUTHOR)
    return made


@pytest.mark.parametrize("newest", [True, False], ids=["TLS 1.3", "TLS 1.2"])
async def test_the_author_gets_in_past_any_proxy_and_leaves_no_file(
    job: ComputeHordeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, newest: bool
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))

    async with (
        serving(SERVER, tmp_path, newest=newest) as job.streaming_server_port,
        job.http_client() as http,
    ):
        answer = await http.get("/health")

    assert (answer.status_code, answer.text) == (200, "well")
    assert list((tmp_path / "tmp").iterdir()) == []


async def test_other_protocols_use_the_context(job: ComputeHordeJob, tmp_path: Path) -> None:
    async with serving(SERVER, tmp_path) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=job.ssl_context())
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        answer = await reader.read()
        writer.close()

    assert answer.endswith(b"well")


@pytest.mark.parametrize("shown", [OTHER, ELSEWHERE], ids=["another's", "another's elsewhere"])
async def test_a_server_with_another_certificate_is_not_talked_to(
    job: ComputeHordeJob, tmp_path: Path, shown: StreamingKey
) -> None:
    async with serving(shown, tmp_path) as job.streaming_server_port, job.http_client() as http:
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            await http.get("/health")


async def test_a_server_at_another_address_is_not_talked_to(
    job: ComputeHordeJob, tmp_path: Path
) -> None:
    job.streaming_server_cert = ELSEWHERE.pem

    async with serving(ELSEWHERE, tmp_path) as job.streaming_server_port, job.http_client() as http:
        with pytest.raises(httpx.ConnectError, match="IP address mismatch"):
            await http.get("/health")


async def test_a_key_of_another_job_does_not_get_in(job: ComputeHordeJob, tmp_path: Path) -> None:
    job.attach_streaming_key(OTHER)

    async with serving(SERVER, tmp_path) as job.streaming_server_port, job.http_client() as http:
        with pytest.raises(httpx.TransportError):
            await http.get("/health")


async def test_options_are_those_of_httpx(job: ComputeHordeJob) -> None:
    async with job.http_client() as plain, job.http_client(timeout=3, headers={"A": "b"}) as http:
        assert plain.base_url == "https://127.0.0.1:1"
        assert plain.timeout == httpx.Timeout(30.0, connect=10.0)
        assert (http.timeout, http.headers["A"]) == (httpx.Timeout(3), "b")


async def test_an_address_of_ipv6_is_put_into_brackets(job: ComputeHordeJob) -> None:
    job.streaming_server_address = "::1"

    async with job.http_client() as http:
        assert str(http.base_url) == "https://[::1]:1"


@pytest.mark.parametrize("option", ["verify", "cert"])
def test_the_certificates_cannot_be_changed(job: ComputeHordeJob, option: str) -> None:
    with pytest.raises(ComputeHordeValidationError) as refused:
        job.http_client(**{option: False})

    assert refused.value.field == option


def _end(job: ComputeHordeJob) -> None:
    job.status_history.append(ComputeHordeJobStatusEntry(NOW, ComputeHordeJobStatus.COMPLETED))


def _forget_key(job: ComputeHordeJob) -> None:
    job.streaming_private_key = None


def _change(name: str, value: object) -> Callable[[ComputeHordeJob], None]:
    return lambda job: setattr(job, name, value)


UNUSABLE: dict[str, tuple[Callable[[ComputeHordeJob], None], str]] = {
    "ended": (_end, "a-job is completed; its server is gone"),
    "not ready": (_change("streaming_server_cert", None), "wait_for_streaming"),
    "no port": (_change("streaming_server_port", None), "wait_for_streaming"),
    "no key": (_forget_key, "no key for job a-job"),
    "no certificate": (_change("streaming_server_cert", "none"), "certificate that is none"),
    "no ASCII": (_change("streaming_server_cert", "\ud800"), "certificate that is none"),
    "no address": (_change("streaming_server_address", "a b/c"), "address that is none"),
    "no port number": (_change("streaming_server_port", 10**9), "address that is none"),
}


@pytest.mark.parametrize(("change", "said"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_a_job_that_cannot_be_talked_to_says_why(
    job: ComputeHordeJob, change: Callable[[ComputeHordeJob], None], said: str
) -> None:
    change(job)

    with pytest.raises(ComputeHordeError, match=said):
        job.http_client()

"""Who gets in to a streaming job, and what passes."""

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from compute_horde_common.containers.docker import DockerEngine
from compute_horde_common.containers.python_image import ensure_python_image
from compute_horde_common.protocol.validator_miner import (
    ExecutionDone,
    HordeFailed,
    JobFailedReport,
    StreamingReady,
)
from executor.streaming.relay import MAX_HANDSHAKES
from tests.stand import PATIENCE, Stand, Web
from tests.streaming.session import LONG_AGO, Session, outcome, session, somebody

SIZE = 100_000_000
HEALTH = b"GET /health HTTP/1.1\r\n\r\n"
WELL = b"HTTP/1.1 200 x\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhealth"


@pytest.fixture
async def python_image(engine: DockerEngine) -> str:
    return await ensure_python_image(engine)


@pytest.fixture
async def job(stand: Stand, python_image: str, tmp_path: Path) -> AsyncIterator[Session]:
    async with session(stand, python_image, tmp_path) as running:
        yield running


async def refused(job: Session, context: ssl.SSLContext) -> bool:
    try:
        return await job.ask(HEALTH, context) == b""
    except (ssl.SSLError, ConnectionError):
        return True


async def test_the_author_gets_in(job: Session) -> None:
    assert await job.ask(HEALTH) == WELL


async def test_somebody_without_a_certificate_does_not(job: Session) -> None:
    assert await refused(job, job.tls(None))


async def test_somebody_with_another_certificate_does_not(job: Session) -> None:
    assert await refused(job, job.tls(somebody()))


async def test_the_authors_certificate_without_its_key_is_of_no_use(job: Session) -> None:
    thief = replace(somebody(), certificate=job.author.certificate)

    with pytest.raises(ssl.SSLError, match="KEY_VALUES_MISMATCH"):
        job.tls(thief)


async def test_older_tls_is_not_spoken(job: Session) -> None:
    context = job.tls(job.author)
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    assert await refused(job, context)


async def test_plain_http_is_not_spoken(job: Session) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", job.ready.port)
    writer.write(HEALTH)
    async with asyncio.timeout(PATIENCE):
        answer = await reader.read()
    writer.close()

    assert b"health" not in answer


async def test_a_connection_can_be_turned_into_another_protocol(job: Session) -> None:
    reader, writer = await job.connect()
    writer.write(b"GET /echo HTTP/1.1\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
    async with asyncio.timeout(PATIENCE):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"one")
        first = await reader.readexactly(3)
        writer.write(b"another")
        second = await reader.readexactly(7)
    writer.close()

    assert (first, second) == (b"one", b"another")


async def test_a_large_body_arrives_as_it_was_sent(job: Session) -> None:
    body = bytes(range(256)) * (SIZE // 256)

    answer = await job.ask(b"POST /take HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    assert answer.endswith(hashlib.sha256(body).hexdigest().encode())


async def test_a_large_answer_arrives_as_it_was_sent(job: Session) -> None:
    expected = (bytes(range(256)) * (SIZE // 256 + 1))[:SIZE]

    answer = await job.ask(b"GET /give/%d HTTP/1.1\r\n\r\n" % SIZE)

    assert hashlib.sha256(answer[-SIZE:]).digest() == hashlib.sha256(expected).digest()


async def test_many_clients_are_served_at_once(job: Session) -> None:
    answers = await asyncio.gather(*(job.ask(HEALTH) for _ in range(100)))

    assert set(answers) == {WELL}


async def test_strangers_that_never_shake_hands_do_not_keep_the_author_out(job: Session) -> None:
    silent = [
        await asyncio.open_connection("127.0.0.1", job.ready.port) for _ in range(MAX_HANDSHAKES)
    ]

    answer = await job.ask(HEALTH)

    longest, _ = silent[0]
    assert answer == WELL
    assert await longest.read() == b""
    for _, writer in silent:
        writer.close()


async def test_nothing_listens_once_the_job_has_ended(
    stand: Stand, python_image: str, tmp_path: Path
) -> None:
    async with session(stand, python_image, tmp_path) as running:
        port = running.ready.port

    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    assert await stand.left() == ([], [])


async def test_the_key_is_in_no_file(job: Session) -> None:
    found = [
        path
        for path in job.stand.config.work_dir.rglob("*")
        if path.is_file() and b"PRIVATE KEY" in path.read_bytes()
    ]

    assert found == []


async def test_a_job_that_gets_well_late_is_waited_for(stand: Stand, python_image: str) -> None:
    said = await outcome(stand, python_image, somebody().certificate, "503,503,200")

    assert any(isinstance(message, StreamingReady) for message in said)


async def test_a_job_that_never_gets_well_times_out(stand: Stand, python_image: str) -> None:
    report = (await outcome(stand, python_image, somebody().certificate, "500"))[-1]

    assert isinstance(report, JobFailedReport)
    assert (report.reason, report.stage) == ("timeout", "streaming_startup")


async def test_a_job_that_ends_early_is_not_waited_for(stand: Stand, python_image: str) -> None:
    report = (await outcome(stand, python_image, somebody().certificate, "no-number"))[-1]

    assert isinstance(report, JobFailedReport)
    assert (report.reason, report.docker_process_exit_status) == ("nonzero_return_code", 1)
    assert "ValueError" in (report.docker_process_stderr or "")


@pytest.mark.parametrize("certificate", ["", "PEM", "-----BEGIN CERTIFICATE-----\nAA==\n"])
async def test_a_client_certificate_that_is_none_is_refused(
    stand: Stand, python_image: str, certificate: str
) -> None:
    report = (await outcome(stand, python_image, certificate, "200"))[-1]

    assert isinstance(report, JobFailedReport)
    assert report.stage == "streaming_startup"
    assert "no PEM certificate that can be used" in report.message


async def test_an_expired_client_certificate_does_not_get_in(
    stand: Stand, python_image: str, tmp_path: Path
) -> None:
    async with session(stand, python_image, tmp_path, somebody(LONG_AGO)) as running:
        assert await refused(running, running.tls(running.author))


async def test_a_host_with_another_runtime_is_no_place_to_stream(
    stand: Stand, python_image: str
) -> None:
    stand.config = replace(stand.config, runtime="runc")

    report = (await outcome(stand, python_image, somebody().certificate, "200"))[-1]

    assert isinstance(report, HordeFailed)
    assert report.reason == "streaming_failed"


async def test_a_job_that_never_got_well_sends_no_outputs(
    stand: Stand, python_image: str, web: Web
) -> None:
    upload = {"output_upload_type": "single_file_put", "url": web.url("/a"), "relative_path": "a"}

    said = await outcome(
        stand, python_image, somebody().certificate, "no-number", output_upload=upload
    )

    assert isinstance(said[-1], JobFailedReport)
    assert not any(isinstance(message, ExecutionDone) for message in said)

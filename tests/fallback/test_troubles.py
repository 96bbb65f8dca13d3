"""Servers, clouds and jobs that behave badly."""

import asyncio
import base64
import io
import stat
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from compute_horde_sdk._internal.fallback.cloud import (
    MachineOrder,
    MachineState,
    Phase,
    SshAddress,
)
from compute_horde_sdk._internal.fallback.pod import transfers
from compute_horde_sdk.v1 import ComputeHordeJobFailure, HTTPInputVolume, InlineInputVolume
from compute_horde_sdk.v1.fallback import (
    FallbackClient,
    FallbackError,
    FallbackJob,
    FallbackJobSpec,
)
from tests.fallback.conftest import SpecMaker

SECONDS = 60
FAR = float("inf")
DRIP_SECONDS = 0.2


class StubbornCloud:
    """Takes orders once it is allowed to, and can begin none of the jobs."""

    name = "stubborn"

    def __init__(self) -> None:
        self.allowed = threading.Event()
        self.launched = threading.Event()
        self.ended: list[tuple[str, str]] = []

    def launch(self, order: MachineOrder, idle_minutes: int) -> str:
        assert order.name
        assert idle_minutes
        self.allowed.wait(SECONDS)
        self.launched.set()
        return "ticket"

    def state(self, name: str, ticket: str) -> MachineState:
        assert name
        assert ticket
        return MachineState(Phase.REFUSED, "the files cannot be copied")

    def log(self, name: str) -> str:
        return name

    def end(self, name: str, ticket: str) -> None:
        self.ended.append((name, ticket))

    def ssh_address(self, name: str) -> SshAddress:
        raise FallbackError(name)


@pytest.fixture
def stubborn() -> StubbornCloud:
    return StubbornCloud()


def end_of(job: FallbackJob) -> tuple[str | None, str]:
    assert isinstance(job.error, ComputeHordeJobFailure), job.error
    return job.error.stage, job.error.reason


async def test_an_input_that_drips_does_not_outlast_the_limit(
    client: FallbackClient, spec: SpecMaker
) -> None:
    closing = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not closing.is_set() and not writer.is_closing():
            writer.write(b"x")
            with suppress(TimeoutError):
                await asyncio.wait_for(closing.wait(), DRIP_SECONDS)
        writer.close()

    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"
        volumes = {"/volume/x": HTTPInputVolume(url=url)}
        asked = spec("true", input_volumes=volumes, download_time_limit_sec=1)
        job = await client.run_until_complete(asked, timeout=SECONDS)
        closing.set()

    assert end_of(job) == ("volume_download", "timeout")


async def test_a_damaged_zip_fails_the_download(client: FallbackClient, spec: SpecMaker) -> None:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("a.txt", "hello")
    damaged = base64.b64encode(written.getvalue().replace(b"hello", b"jello")).decode()
    volumes = {"/volume/": InlineInputVolume(contents=damaged)}

    job = await client.run_until_complete(spec("true", input_volumes=volumes), timeout=SECONDS)

    assert end_of(job) == ("volume_download", "download_failed")


async def test_artifacts_whose_names_cannot_be_said_are_left_out(
    client: FallbackClient, spec: SpecMaker
) -> None:
    run = "cd /a; echo x > good; echo x > \"$(printf '\\377')\"; echo x > 'back\\slash'"

    job = await client.run_until_complete(spec(run, artifacts_dir="/a"), timeout=SECONDS)

    assert job.result is not None, job.error
    assert job.result.artifacts == {"/a/good": b"x\n"}
    assert job.result.stderr.splitlines() == [
        r"artifact '/a/back\\slash' is left out: its name is no UTF-8, or has a backslash",
        r"artifact '/a/\udcff' is left out: its name is no UTF-8, or has a backslash",
    ]


async def test_a_proxy_for_the_job_does_not_hide_its_health(
    client: FallbackClient, spec: SpecMaker
) -> None:
    serve = (
        "mkdir /www; touch /www/health; cd /www; timeout 5 python3 -m http.server 8000"
        " --bind 127.0.0.1; true"
    )
    proxy = {"http_proxy": "http://127.0.0.1:9"}
    asked = spec(serve, streaming=True, envs=proxy, streaming_start_time_limit_sec=30)

    job = await client.run_until_complete(asked, timeout=SECONDS)

    assert "streaming_ready" in [entry.status.value for entry in job.status_history]


def test_the_token_of_the_hub_is_said_to_nobody_else() -> None:
    with _server(lambda path: "/elsewhere" if path == "/file" else None) as (url, heard):
        asked = {"Authorization": "Bearer secret"}
        blocks = transfers.download(f"{url}/file", FAR, transfers.Budget(9), asked)

        assert b"".join(blocks) == b"x"

    assert heard == [("GET", "/file", "Bearer secret"), ("GET", "/elsewhere", None)]


def test_an_output_is_not_sent_on_to_another_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with _server(lambda _: "/elsewhere") as (url, heard):
        upload = {
            "output_upload_type": "single_file_post",
            "url": f"{url}/there",
            "relative_path": "file",
        }
        with pytest.raises(transfers.TransferFailed, match="answered 303"):
            transfers.send(upload, str(tmp_path), FAR)

    assert {path for _, path, _ in heard} == {"/there"}


async def test_a_machine_that_came_for_nothing_is_given_back(
    stubborn: StubbornCloud, tmp_path: Path
) -> None:
    stubborn.allowed.set()
    client = FallbackClient("stubborn", backend=stubborn, state_dir=tmp_path)
    job = await client.create_job(FallbackJobSpec(run="true"))

    await job.wait(timeout=SECONDS)

    assert job.status == "rejected"
    assert stubborn.ended == [(f"ch-{job.uuid}", "ticket")]


async def test_a_launch_that_nobody_waited_for_can_still_be_ended(
    stubborn: StubbornCloud, tmp_path: Path
) -> None:
    client = FallbackClient("stubborn", backend=stubborn, state_dir=tmp_path)
    creating = asyncio.create_task(client.create_job(FallbackJobSpec(run="true")))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(creating, DRIP_SECONDS)
    stubborn.allowed.set()
    await asyncio.get_running_loop().shutdown_default_executor()

    (job,) = await FallbackClient("x", backend=stubborn, state_dir=tmp_path).get_jobs()

    assert '"ticket":"ticket"' in (tmp_path / f"{job.uuid}.json").read_text()


async def test_the_folder_of_jobs_is_for_its_author_only(
    stubborn: StubbornCloud, tmp_path: Path
) -> None:
    stubborn.allowed.set()
    folder = tmp_path / "state"

    await FallbackClient("x", backend=stubborn, state_dir=folder).create_job(
        FallbackJobSpec(run="true")
    )

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_a_folder_that_cannot_be_is_named(stubborn: StubbornCloud, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    client = FallbackClient("x", backend=stubborn, state_dir=tmp_path / "file" / "state")

    with pytest.raises(FallbackError, match="cannot be made"):
        await client.create_job(FallbackJobSpec(run="true"))


@contextmanager
def _server(
    elsewhere: Callable[[str], str | None],
) -> Iterator[tuple[str, list[tuple[str, str, str | None]]]]:
    """Answers 303 where ``elsewhere`` says so; gives its URL, and what it will have heard."""
    heard: list[tuple[str, str, str | None]] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append((self.command, self.path, self.headers.get("Authorization")))
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            place = elsewhere(self.path)
            self.send_response(303 if place else 200)
            self.send_header("Content-Length", "0" if place else "1")
            if place:
                self.send_header("Location", place)
            self.end_headers()
            self.wfile.write(b"" if place else b"x")

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - its name there
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", heard
        server.shutdown()
        thread.join()

"""Streaming from a rented machine: through a real ssh, to a real sshd."""

import asyncio
import getpass
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from compute_horde_sdk._internal.fallback.cloud import SshAddress
from compute_horde_sdk.v1.fallback import FallbackClient, FallbackError
from tests.fallback.conftest import SpecMaker
from tests.fallback.docker_cloud import DockerCloud

SECONDS = 60
SERVER = """
import http.server, os, pathlib
pathlib.Path("/www").mkdir()
pathlib.Path("/www/health").write_text("well")
os.chdir("/www")
class Job(http.server.SimpleHTTPRequestHandler):
    def do_POST(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"bye")
        os._exit(0)
print("serving", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", 8000), Job).serve_forever()
"""


@pytest.fixture
async def sshd(tmp_path: Path) -> AsyncIterator[SshAddress]:
    folder = tmp_path / "sshd"
    folder.mkdir(mode=0o700)
    for name in ("host", "client"):
        await _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    configuration = [
        f"ListenAddress 127.0.0.1:{port}",
        f"HostKey {folder / 'host'}",
        f"AuthorizedKeysFile {folder / 'client.pub'}",
        f"PidFile {folder / 'pid'}",
        "StrictModes no",
        "PermitRootLogin yes",
        "PasswordAuthentication no",
        "UsePAM no",
    ]
    (folder / "config").write_text("\n".join(configuration) + "\n")
    await _run("mkdir", "-p", "/run/sshd")
    program = shutil.which("sshd") or "/usr/sbin/sshd"
    server = await asyncio.create_subprocess_exec(
        *(program, "-D", "-e", "-f", str(folder / "config")), stderr=asyncio.subprocess.PIPE
    )
    assert server.stderr is not None
    said = await asyncio.wait_for(server.stderr.readline(), SECONDS)
    assert b"listening" in said, said
    yield SshAddress("127.0.0.1", port, getpass.getuser(), folder / "client")
    server.terminate()
    await server.wait()


async def test_a_streaming_job_is_reached_through_ssh(
    client: FallbackClient, cloud: DockerCloud, spec: SpecMaker, sshd: SshAddress, tmp_path: Path
) -> None:
    cloud.address = sshd
    job = await client.create_job(spec(f"python3 -c '{SERVER}'", streaming=True))

    await job.wait_for_streaming(timeout=SECONDS)
    async with job.http_client() as http:
        health = (await http.get("/health")).text
        said = (await http.post("/end")).text
    await job.wait(timeout=SECONDS)
    port = job.streaming_server_port
    client.close()

    assert (health, said) == ("well", "bye")
    assert port is not None
    assert await client.get_job_streaming_port(job.uuid) is None
    assert [entry.status.value for entry in job.status_history] == [
        "sent",
        "accepted",
        "executor_ready",
        "volumes_ready",
        "streaming_ready",
        "execution_done",
        "completed",
    ]
    assert "127.0.0.1" in (tmp_path / "state" / "known_hosts").read_text()


async def test_a_host_with_another_key_than_before_is_not_spoken_to(
    client: FallbackClient, cloud: DockerCloud, spec: SpecMaker, sshd: SshAddress, tmp_path: Path
) -> None:
    cloud.address = sshd
    job = await client.create_job(spec("sleep 30"))
    key = (sshd.key.parent / "client.pub").read_text().split()[1]
    known = tmp_path / "state" / "known_hosts"
    known.write_text(f"[127.0.0.1]:{sshd.port} ssh-ed25519 {key}\n")

    with pytest.raises(FallbackError, match="tunnel to the job failed"):
        await client.open_tunnel(job.uuid)


async def test_a_job_that_is_never_well_fails_at_its_limit(
    client: FallbackClient, spec: SpecMaker
) -> None:
    asked = spec(
        "sleep 30", streaming=True, download_time_limit_sec=0, streaming_start_time_limit_sec=1
    )

    job = await client.run_until_complete(asked, timeout=SECONDS)

    assert (getattr(job.error, "stage", None), getattr(job.error, "reason", None)) == (
        "streaming_startup",
        "timeout",
    )


async def _run(*words: str) -> None:
    process = await asyncio.create_subprocess_exec(*words)
    assert await asyncio.wait_for(process.wait(), SECONDS) == 0

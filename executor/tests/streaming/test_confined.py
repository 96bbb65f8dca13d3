"""What a streaming job on the host reaches, and what its executor has to be allowed to do."""

import asyncio
import json
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from compute_horde_common.containers.docker import DockerEngine
from compute_horde_common.containers.python_image import ensure_python_image
from tests.stand import PATIENCE, Stand
from tests.streaming.session import Session, session, somebody

ATTACK = """
import json, socket, sys
reached = []
for host in json.loads(sys.argv[1]):
    for port in json.loads(sys.argv[2]):
        try:
            socket.create_connection((host, port), 1).close()
            reached.append([host, port])
        except OSError:
            pass
try:
    reached.append(socket.getaddrinfo("example.com", 80))
except OSError:
    pass
print(json.dumps([reached, [name for _, name in socket.if_nameindex()]]))
"""
EXECUTOR = """
import asyncio, sys
from compute_horde_common.clock import SystemClock
from compute_horde_common.containers.docker import DockerEngine
from compute_horde_common.jobs.failures import JobFailed
from compute_horde_common.jobs.spec import StreamingDetails
from executor.config import ExecutorConfig
from executor.stages.streaming import streaming

async def main(job, certificate):
    config = ExecutorConfig(miner_address="ws://unused", token="unused", owner="unused")
    details = StreamingDetails(public_key=certificate, executor_ip=None)
    async with DockerEngine() as engine:
        door = streaming(engine, job, "none", details, config, within=5, clock=SystemClock())
        try:
            async with door:
                print("streams")
        except JobFailed as failed:
            print(type(failed.failure).__name__, failed.failure.reason, failed.failure.message)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
async def job(engine: DockerEngine, stand: Stand, tmp_path: Path) -> AsyncIterator[Session]:
    async with session(stand, await ensure_python_image(engine), tmp_path) as running:
        yield running


async def _output(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(PATIENCE):
        output, _ = await process.communicate()
    return output.decode().strip()


async def _container(job: Session) -> str:
    return (await job.stand.engine.owned(job.stand.labels))[0].id


def _addresses() -> list[str]:
    """All of this host, and those that hosts give away secrets at."""
    own = {
        address.address
        for interface in psutil.net_if_addrs().values()
        for address in interface
        if address.family == socket.AF_INET and address.address != "127.0.0.1"
    }
    return [*sorted(own), "172.17.0.1", "169.254.169.254", "1.1.1.1"]


async def test_a_job_that_streams_reaches_nothing_but_itself(job: Session) -> None:
    container = await _container(job)
    with socket.create_server(("0.0.0.0", 0)) as listener:
        ports = [listener.getsockname()[1], job.ready.port, 53, 80, 8000]
        told = (json.dumps([*_addresses(), "127.0.0.1"]), json.dumps(ports))
        said = await _output("docker", "exec", container, "python3", "-c", ATTACK, *told)

    assert json.loads(said) == [[["127.0.0.1", 8000]], ["lo"]]


@pytest.mark.parametrize(
    ("allowed", "outcome"),
    [
        ("+sys_admin", "streams"),
        ("-sys_admin", "HordeFailure streaming_failed The job cannot stream here: streaming needs"),
    ],
)
async def test_an_executor_that_may_not_enter_namespaces_says_so(
    job: Session, allowed: str, outcome: str
) -> None:
    container, certificate = await _container(job), somebody().certificate
    setpriv = shutil.which("setpriv") or "setpriv"
    program = (sys.executable, "-c", EXECUTOR, container, certificate)

    said = await _output(setpriv, "--bounding-set", allowed, *program)

    assert said.startswith(outcome)

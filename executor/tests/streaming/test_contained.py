"""A streaming job of an executor that lives in a container of its own."""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from compute_horde_common.containers.docker import DockerEngine
from compute_horde_common.containers.interface import ContainerSpec, Limits, Mount
from compute_horde_common.containers.labels import OWNER_LABEL, TOKEN_LABEL
from compute_horde_common.containers.python_image import ensure_python_image
from compute_horde_common.protocol.validator_miner import StreamingReady
from tests.stand import JOB, OWNER, PATIENCE, Stand
from tests.streaming.session import PROGRAM, Session, somebody

ROOT = Path(__file__).parents[3]
SOURCES = (ROOT / "executor" / "src", ROOT / "compute_horde_common" / "src")
SOCKET = "/var/run/docker.sock"
GATEWAYS = "{{range .IPAM.Config}}{{.Gateway}}{{end}}"
HEALTH = b"GET /health HTTP/1.1\r\n\r\n"
REACHES = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor

def reaches(target):
    try:
        socket.create_connection(tuple(target), 2).close()
    except OSError:
        return None
    return target

with ThreadPoolExecutor(32) as pool:
    reached = [found for found in pool.map(reaches, json.loads(sys.argv[1])) if found]
print(json.dumps(reached))
"""


@dataclass
class Contained:
    """A running executor, its job, and the job's author."""

    executor: str
    job: str
    network: str
    session: Session


def _program() -> str:
    return (Path(__file__).parent / "contained.py").read_text()


def _libraries() -> list[Path]:
    """What compiled packages need beside the interpreter."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    folder = Path(next(line.split()[-1] for line in lines if "/libc.so" in line)).parent
    names = ("libgcc_s.so.1", "librt.so.1", "libdl.so.2", "libpthread.so.0")
    return [path for name in names if (path := folder / name).exists()]


def _spec(image: str, name: str, given: dict[str, str]) -> ContainerSpec:
    shown = [*SOURCES, *(Path(path) for path in sys.path if path.endswith("site-packages"))]
    mounts = [
        Mount(str(path), f"/shown{number}", read_only=True) for number, path in enumerate(shown)
    ]
    paths = ":".join(mount.target for mount in mounts)
    mounts += [Mount(str(path), f"/shown/{path.name}", read_only=True) for path in _libraries()]
    return ContainerSpec(
        image=image,
        name=name,
        limits=Limits(memory_bytes=512 << 20, cpus=2.0),
        command=("python3", "-u", "-c", _program()),
        env={"PYTHONPATH": paths, "GIVEN": json.dumps(given), "LD_LIBRARY_PATH": "/shown"},
        mounts=(*mounts, Mount(SOCKET, SOCKET)),
        network="bridge",
        ports={6006: "6000-6999"},
        labels={OWNER_LABEL: OWNER},
    )


@pytest.fixture
async def contained(engine: DockerEngine, stand: Stand, tmp_path: Path) -> AsyncIterator[Contained]:
    image = await ensure_python_image(engine)
    author, token = somebody(), f"test-{uuid4().hex}"
    name = f"ch-executor-{token}"
    given = {
        "token": token,
        "owner": OWNER,
        "container": name,
        "job": JOB,
        "image": image,
        "program": PROGRAM,
        "certificate": author.certificate,
    }
    executor = await engine.create(_spec(image, name, given))
    await engine.start(executor)
    where = await _told(engine, executor)
    ready = StreamingReady(job_uuid=JOB, public_key=where["certificate"], port=where["port"])
    session = Session(ready, author, tmp_path, stand)
    yield Contained(executor, where["job"], f"ch-{token}", session)
    await engine.stop(executor, grace=10)
    left = await engine.owned_networks({OWNER_LABEL: OWNER, TOKEN_LABEL: token})
    jobs = await engine.owned({OWNER_LABEL: OWNER, TOKEN_LABEL: token})
    await engine.remove(executor)
    assert (left, jobs) == ([], [])


@pytest.fixture
async def neighbour(engine: DockerEngine) -> AsyncIterator[str]:
    """The address of a job that answers, in an internal network of its own."""
    name = f"ch-neighbour-{uuid4().hex}"
    network = await engine.create_network(name, {OWNER_LABEL: OWNER})
    spec = ContainerSpec(
        image=await ensure_python_image(engine),
        name=name,
        limits=Limits(memory_bytes=64 << 20, cpus=1.0),
        command=("python3", "-u", "-c", PROGRAM, "200"),
        network=name,
        labels={OWNER_LABEL: OWNER},
    )
    job = await engine.create(spec)
    await engine.start(job)
    address = await engine.address(job, name)
    async with asyncio.timeout(PATIENCE):
        while await _reached(job, [[address, 8000]]) == []:
            pass
    yield address
    await engine.remove(job)
    await engine.remove_network(network)


async def _told(engine: DockerEngine, executor: str) -> dict[str, str]:
    async with asyncio.timeout(PATIENCE):
        seen = b""
        async for output in engine.follow(executor):
            seen += output.data
            if output.stream == "stdout" and b"\n" in output.data:
                found: dict[str, str] = json.loads(output.data)
                return found
    raise AssertionError(seen.decode())


async def test_the_author_gets_in_through_the_published_port(contained: Contained) -> None:
    answer = await contained.session.ask(HEALTH)

    assert answer.endswith(b"health")


async def test_the_job_reaches_nobody(engine: DockerEngine, contained: Contained) -> None:
    own = await engine.address(contained.job, contained.network)
    executor = await engine.address(contained.executor, contained.network)
    gateways = await _docker("network", "inspect", "-f", GATEWAYS, *await _networks())
    with socket.create_server(("0.0.0.0", 0)) as listener:
        port = listener.getsockname()[1]
        hosts = {
            f"{own.rpartition('.')[0]}.1",
            *gateways.split(),
            "169.254.169.254",
            "1.1.1.1",
            await engine.address(contained.executor, "bridge"),
            "127.0.0.1",
        }
        targets = [[host, number] for host in hosts for number in (port, 53, 80, 6006, 8000)]
        reached = await _reached(contained.job, targets)
        served = await _served(contained.job, executor)

    assert reached == [["127.0.0.1", 8000]]
    assert served == "nothing"


async def test_the_job_does_not_reach_that_of_another_executor(
    contained: Contained, neighbour: str
) -> None:
    assert await _reached(contained.job, [[neighbour, 8000]]) == []


async def test_what_a_killed_executor_leaves_is_found_by_its_labels(
    engine: DockerEngine, contained: Contained
) -> None:
    token = contained.network.removeprefix("ch-")
    labels = {OWNER_LABEL: OWNER, TOKEN_LABEL: token}
    await _docker("kill", contained.executor)
    jobs, networks = await engine.owned(labels), await engine.owned_networks(labels)

    await engine.remove(jobs[0].id)
    await engine.remove_network(networks[0].id)

    assert [found.id for found in jobs] == [contained.job]
    assert [found.name for found in networks] == [contained.network]


async def test_the_jobs_names_are_asked_of_nobody(contained: Contained) -> None:
    asked = await _docker("inspect", "-f", "{{.HostConfig.Dns}}", contained.job)

    assert asked.strip() == "[192.0.2.1]"


async def _networks() -> list[str]:
    return (await _docker("network", "ls", "-q")).split()


async def _reached(job: str, targets: list[list[object]]) -> object:
    return json.loads(await _inside(job, REACHES, json.dumps(targets)))


async def _served(job: str, executor: str) -> str:
    """What the executor's TLS port says to the job."""
    script = (
        "import socket, sys\n"
        "try:\n"
        "    s = socket.create_connection((sys.argv[1], 6006), 3)\n"
        "    s.sendall(b'x' * 100)\n"
        "    print(s.recv(100) or 'nothing')\n"
        "except OSError:\n"
        "    print('nothing')\n"
    )
    return (await _inside(job, script, executor)).strip()


async def _inside(container: str, script: str, argument: str) -> str:
    return await _docker("exec", container, "python3", "-c", script, argument)


async def _docker(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "docker", *arguments, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(PATIENCE):
        output, _ = await process.communicate()
    return output.decode()

"""The examples of docs/streaming.md, run as they stand there."""

import ast
import asyncio
import inspect
import re
from dataclasses import dataclass
from pathlib import Path

import websockets

from compute_horde_common.clock import SystemClock
from compute_horde_common.containers.docker import DockerEngine
from compute_horde_common.containers.python_image import ensure_python_image
from compute_horde_sdk._internal.access import StreamingAccess
from compute_horde_sdk._internal.certificates import StreamingKey, new_streaming_key
from compute_horde_sdk._internal.results import ComputeHordeJobStatus
from executor.streaming.certificates import Identity
from tests.stand import PATIENCE, Stand
from tests.streaming.session import Session, session

PAGE = Path(__file__).parents[3] / "docs" / "streaming.md"
SERVER, CONNECT, WEBSOCKET = re.findall(
    r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL
)
LARGE = 20_000_000
WEBSOCKET_SERVER = """
from http import HTTPStatus
from websockets.sync.server import serve

def health(connection, request):
    return connection.respond(HTTPStatus.OK, "") if request.path == "/health" else None

def echo(connection):
    for message in connection:
        connection.send(message)

serve(echo, "0.0.0.0", 8000, process_request=health, max_size=None).serve_forever()
"""


@dataclass
class Job(StreamingAccess):
    """What the examples use of the SDK's job."""

    session: Session
    key: StreamingKey
    uuid: str = "example"
    streaming_server_address: str = "localhost"
    status: ComputeHordeJobStatus = ComputeHordeJobStatus.STREAMING_READY

    def __post_init__(self) -> None:
        self.attach_streaming_key(self.key)
        self.streaming_server_cert = self.session.ready.public_key
        self.streaming_server_port = self.session.ready.port

    async def wait_for_streaming(self, timeout: float) -> None:  # noqa: ASYNC109 - the SDK's name
        """It is ready."""


def _author() -> tuple[StreamingKey, Identity]:
    """A key as the SDK makes it."""
    key = new_streaming_key(SystemClock().now())
    return key, Identity(key.pem, key.to_pem())


def _package(module: object) -> dict[str, str]:
    """The files of a package that is Python alone."""
    folder = Path(str(getattr(module, "__file__", ""))).parent
    return {str(path.relative_to(folder.parent)): path.read_text() for path in folder.rglob("*.py")}


async def _run(example: str, names: dict[str, object]) -> None:
    code = compile(example, str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    async with asyncio.timeout(PATIENCE):
        running = eval(code, names)  # noqa: S307 - our own page
        if inspect.isawaitable(running):
            await running


async def test_the_httpx_example_talks_to_the_example_of_a_job(
    engine: DockerEngine, stand: Stand, tmp_path: Path
) -> None:
    image = await ensure_python_image(engine)
    names: dict[str, object] = {}

    key, author = _author()
    async with session(stand, image, tmp_path, author, {"server.py": SERVER}) as running:
        names["job"] = Job(running, key)
        await _run(f"{CONNECT}\nsaid = answer.text", names)

    assert names["said"] == "heard: hello"


async def test_the_websocket_example_and_a_large_message_pass(
    engine: DockerEngine, stand: Stand, tmp_path: Path
) -> None:
    image = await ensure_python_image(engine)
    files = {**_package(websockets), "server.py": WEBSOCKET_SERVER}
    large = bytes(range(256)) * (LARGE // 256)

    key, author = _author()
    async with session(stand, image, tmp_path, author, files) as running:
        tls = running.tls(running.author)
        address = f"localhost:{running.ready.port}"
        names: dict[str, object] = {"job": Job(running, key)}
        await _run(WEBSOCKET, names)
        async with (
            asyncio.timeout(PATIENCE),
            websockets.connect(f"wss://{address}/", ssl=tls, max_size=None) as connection,
        ):
            await connection.send(large)
            echoed = await connection.recv()

    assert (names["reply"], echoed == large) == ("hello", True)

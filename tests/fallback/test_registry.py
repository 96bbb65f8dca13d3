"""What an image runs by itself, asked of a real registry."""

import asyncio
import io
import shutil
import socket
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from compute_horde_sdk._internal.fallback.registry import ImageConfig, image_config
from compute_horde_sdk.v1.fallback import FallbackError

SECONDS = 60
CONFIG = """
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: FOLDER}}
http: {addr: "127.0.0.1:PORT", secret: "x"}
"""
CHANGES = (
    'ENTRYPOINT ["/entry", "--always"]',
    'CMD ["serve"]',
    "ENV A=1=2",
    "WORKDIR /app",
)


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[str]:
    program = shutil.which("docker-registry")
    assert program, "docker-registry is missing; ./dev test installs it"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = tmp_path / "registry.yml"
    folder = str(tmp_path / "images")
    config.write_text(CONFIG.replace("FOLDER", folder).replace("PORT", str(port)))
    server = await asyncio.create_subprocess_exec(program, "serve", str(config))
    host = f"127.0.0.1:{port}"
    await _docker("push", await _image(f"{host}/team/app:1"), tries=20)
    yield host
    await _docker("rmi", f"{host}/team/app:1")
    server.terminate()
    await server.wait()


async def test_a_registry_tells_what_an_image_runs(registry: str) -> None:
    found = await image_config(f"{registry}/team/app:1", scheme="http")

    assert found == ImageConfig(["/entry", "--always"], ["serve"], {"A": "1=2"}, "/app")
    assert found.command([]) == ["/entry", "--always", "serve"]
    assert found.command(["--n", "1"]) == ["/entry", "--always", "--n", "1"]


async def test_an_image_that_is_not_there_is_named_with_a_way_out(registry: str) -> None:
    with pytest.raises(FallbackError, match=r"team/absent:1 runs: it answers 404 .*run="):
        await image_config(f"{registry}/team/absent:1", scheme="http")


@pytest.mark.parametrize("image", ["127.0.0.1:1/a:b", "no image"])
async def test_a_registry_that_does_not_answer_is_named(image: str) -> None:
    with pytest.raises(FallbackError, match="the registry does not say"):
        await image_config(image, scheme="http")


async def _image(tag: str) -> str:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as made:
        made.addfile(tarfile.TarInfo("file"))
    changes = [word for change in CHANGES for word in ("--change", change)]
    await _docker("import", *changes, "-", tag, given=archive.getvalue())
    return tag


async def _docker(*words: str, given: bytes = b"", tries: int = 1) -> None:
    """Runs Docker; a registry takes a moment to start, and Docker waits between its own tries."""
    said = b""
    for _ in range(tries):
        process = await asyncio.create_subprocess_exec(
            *("docker", *words),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await asyncio.wait_for(process.communicate(given), SECONDS)
        if process.returncode == 0:
            return
    raise AssertionError(said.decode())

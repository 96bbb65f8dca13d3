"""A real image registry on loopback: Debian's docker-registry, with and without a lock."""

import asyncio
import io
import os
import shutil
import socket
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from compute_horde_common.containers.docker import DockerEngine
from compute_horde_common.containers.docker_images import login_header
from compute_horde_common.containers.interface import RegistryLogin
from tests.stand import PATIENCE

LOGIN = RegistryLogin("somebody", "secret word")
_SECRET = "$2y$05$abcdefghijklmnopqrstuu1C7yeI3ZG3Jm.nHdnKkGJg1xTYKP9Oy"
_CONFIG = """
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: FOLDER/images}}
http: {addr: "127.0.0.1:PORT", secret: "x"}
"""
_LOCK = "auth: {htpasswd: {realm: test, path: FOLDER/passwords}}\n"


class RegistryMissing(AssertionError):
    """The tests need a program that is not here."""


@dataclass(frozen=True)
class Registry:
    """One that runs; ``host`` is how images name it."""

    host: str
    engine: DockerEngine
    pushed: list[str] = field(default_factory=list)

    async def push(self, name: str, content: bytes = b"x") -> str:
        """Puts an image of one file there, and nowhere else; its full name."""
        image = f"{self.host}/{name}"
        await self.engine.import_image(image, _archive(content), ('CMD ["/file"]',))
        path, _, tag = image.rpartition(":")
        headers = login_header(LOGIN)
        async with self.engine._api.stream(
            "POST", f"/images/{path}/push", {"tag": tag}, headers
        ) as answer:
            assert not hasattr(answer, "status"), answer
            said = b"".join([piece async for piece in answer])
        assert b'"error"' not in said, said
        await self.engine.remove_image(image)
        self.pushed.append(image)
        return image

    async def forget(self) -> None:
        """Removes from this host what came from there."""
        for image in self.pushed:
            await self.engine.remove_image(image)


@asynccontextmanager
async def registry(
    engine: DockerEngine, folder: Path, *, locked: bool = False
) -> AsyncIterator[Registry]:
    """A registry that keeps its images in ``folder``; a locked one lets in `LOGIN` alone."""
    program = shutil.which("docker-registry")
    if program is None:
        raise RegistryMissing("Install docker-registry: apt-get install docker-registry.")
    port = _free_port()
    text = _CONFIG + (_LOCK if locked else "")
    (folder / "passwords").write_text(f"{LOGIN.username}:{_SECRET}\n")
    config = folder / "registry.yml"
    config.write_text(text.replace("FOLDER", str(folder)).replace("PORT", str(port)))
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            program, "serve", os.fspath(config), stdout=log, stderr=log
        )
    running = Registry(f"127.0.0.1:{port}", engine)
    try:
        await _answers(port)
        yield running
    finally:
        await running.forget()
        process.terminate()
        await process.wait()


async def _answers(port: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.01)
                continue
            writer.close()
            return


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _archive(content: bytes) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        entry = tarfile.TarInfo("file")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return made.getvalue()

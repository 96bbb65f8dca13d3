"""The Python that runs here runs in a container too."""

import asyncio
import platform
from dataclasses import replace

from compute_horde_common.containers.docker import DockerEngine
from compute_horde_common.containers.interface import Exit, Logs
from compute_horde_common.containers.python_image import ensure_python_image
from tests.containers.shells import PATIENCE, shell

WELL = Exit(0, oom_killed=False)


async def said(engine: DockerEngine, program: str) -> tuple[Exit, Logs]:
    image = await ensure_python_image(engine)
    spec = replace(shell(""), image=image, command=("python3", "-c", program), user="65534")
    async with asyncio.timeout(PATIENCE):
        container = await engine.create(spec)
        await engine.start(container)
        ended = await engine.wait(container)
        return ended, await engine.logs(container, head_bytes=10_000, tail_bytes=10_000)


async def test_the_same_python_runs_in_the_image_for_every_user(engine: DockerEngine) -> None:
    program = "import platform; print(platform.python_version())"

    assert await said(engine, program) == (WELL, Logs(f"{platform.python_version()}\n", ""))


async def test_extension_modules_find_their_libraries(engine: DockerEngine) -> None:
    program = "import bz2, ctypes, lzma, socket, sqlite3, ssl, zlib; print('all')"

    assert await said(engine, program) == (WELL, Logs("all\n", ""))


class Holder:
    """Has, or has not, every image that it is asked for; remembers what it was brought."""

    def __init__(self, *, has: bool) -> None:
        self.has = has
        self.brought: list[tuple[str, bool, tuple[str, ...]]] = []

    async def has_image(self, image: str) -> bool:
        return self.has and image.startswith("compute-horde-python")

    async def import_image(self, image: str, archive: bytes, changes: tuple[str, ...]) -> None:
        self.brought.append((image, len(archive) > 0, changes))


async def test_an_image_that_is_there_is_not_made_again() -> None:
    first, later = Holder(has=False), Holder(has=True)

    tags = {await ensure_python_image(holder) for holder in (first, later)}

    assert [(tag, True, ("ENV PATH=/bin", 'CMD ["python3"]')) for tag in tags] == first.brought
    assert later.brought == []

"""A job image with the Python that runs here, for tests and the demo: no registry is asked.

Holds busybox, the interpreter, its standard library and the shared libraries that they need, all
from this machine. It is no base for anybody's jobs: it has no pip and no certificates.
"""

import asyncio
import hashlib
import io
import re
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from compute_horde_common.containers.interface import EngineError
from compute_horde_common.containers.scratch_image import (
    BUSYBOX,
    ImageImporter,
    add_busybox,
    add_link,
)

_NAME = f"python{sys.version_info.major}.{sys.version_info.minor}"
_LDD_SECONDS = 30
_LIBRARY = re.compile(r"^\s*(?:\S+ => )?(/\S+) \(0x[0-9a-f]+\)$", re.MULTILINE)
_LEFT_OUT = re.compile(
    r"(__pycache__|site-packages|dist-packages|tests?|idlelib|ensurepip|tkinter|turtledemo|lib2to3"
    r"|pydoc_data|config-.*|_tkinter[.].*|_?xx.*[.]so|_test.*[.]so|_ctypes_test[.].*)"
)


class PythonNotPacked(EngineError):
    """The interpreter's files could not be gathered."""


class ImageHolder(ImageImporter, Protocol):
    """What this needs of an engine."""

    async def has_image(self, image: str) -> bool:
        """Whether the image is there."""
        ...


async def ensure_python_image(engine: ImageHolder) -> str:
    """The tag of a local image in which ``python3`` runs; made where this machine lacks it.

    Raises ``BusyboxMissing``, ``PythonNotPacked``.
    """
    tag = f"compute-horde-{_NAME}:{await asyncio.to_thread(_fingerprint)}"
    if not await engine.has_image(tag):
        archive = await asyncio.to_thread(_file_system)
        await engine.import_image(tag, archive, ("ENV PATH=/bin", 'CMD ["python3"]'))
    return tag


def _fingerprint() -> str:
    """Differs between builds of Python, of busybox, and between versions of this recipe."""
    found = hashlib.sha256(sys.version.encode())
    for file in (_interpreter(), BUSYBOX):
        status = file.stat() if file.exists() else None
        found.update(repr((file, status and (status.st_size, status.st_mtime_ns))).encode())
    found.update(Path(__file__).read_bytes())
    return found.hexdigest()[:12]


def _interpreter() -> Path:
    return Path(sys.executable).resolve()


def _file_system() -> bytes:
    library = Path(sysconfig.get_path("stdlib"))
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", dereference=True) as archive:
        add_busybox(archive)
        archive.add(_interpreter(), f"usr/bin/{_NAME}", filter=_wanted)
        archive.add(library, f"usr/{sys.platlibdir}/{_NAME}", filter=_wanted)
        modules = (file for file in library.glob("lib-dynload/*.so") if not _is_left_out(file.name))
        # Every loader looks into one of these, which here are one.
        add_link(archive, "lib64", "lib")
        for needed in _libraries([_interpreter(), *modules]):
            archive.add(needed, f"lib/{needed.name}", filter=_wanted)
        for name in ("python", "python3"):
            add_link(archive, f"bin/{name}", f"/usr/bin/{_NAME}")
    return made.getvalue()


def _libraries(programs: Iterable[Path]) -> list[Path]:
    """The shared libraries of all these programs, and the loader."""
    try:
        said = subprocess.run(  # noqa: S603 - paths of our own interpreter
            ["ldd", *programs],  # noqa: S607 - wherever the system has it
            capture_output=True,
            text=True,
            check=False,
            timeout=_LDD_SECONDS,
        )
    except (OSError, subprocess.SubprocessError) as failure:
        raise PythonNotPacked(f"ldd does not list what Python needs: {failure}") from failure
    return sorted({Path(path) for path in _LIBRARY.findall(said.stdout)})


def _wanted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    if _is_left_out(Path(entry.name).name):
        return None
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def _is_left_out(name: str) -> bool:
    return _LEFT_OUT.fullmatch(name) is not None

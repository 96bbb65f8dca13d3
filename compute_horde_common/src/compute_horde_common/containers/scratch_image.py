"""A job image from nothing but the static busybox, for where no registry can be reached."""

import io
import struct
import subprocess
import tarfile
from pathlib import Path
from typing import Protocol

from compute_horde_common.containers.interface import EngineError

BUSYBOX = Path("/bin/busybox")
_PASSWD = b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"
_GROUP = b"root:x:0:\nnogroup:x:65534:\n"
_LIST_SECONDS = 10
_ELF_INTERPRETER = 3


class BusyboxMissing(EngineError):
    """The host has no static busybox to build from."""


class ImageImporter(Protocol):
    """The one thing this needs of an engine."""

    async def import_image(self, image: str, archive: bytes, changes: tuple[str, ...]) -> None:
        """Makes a local image whose file system is a tar archive."""
        ...


async def build_busybox_image(engine: ImageImporter, tag: str, busybox: Path = BUSYBOX) -> None:
    """Makes the local image ``tag``: a shell and busybox's tools below /bin.

    Raises ``BusyboxMissing``; Debian and Ubuntu have it in the package busybox-static.
    """
    changes = ("ENV PATH=/bin", 'CMD ["sh"]')
    await engine.import_image(tag, _file_system(busybox), changes)


def add_busybox(archive: tarfile.TarFile, busybox: Path = BUSYBOX) -> None:
    """Puts the shell, its tools and the few files that they read into a root file system.

    Raises ``BusyboxMissing``.
    """
    program, tools = _program(busybox)
    for folder, mode in (("bin", 0o755), ("etc", 0o755), ("root", 0o700), ("tmp", 0o1777)):
        archive.addfile(_entry(folder, tarfile.DIRTYPE, mode))
    for name, content, mode in (
        ("bin/busybox", program, 0o755),
        ("etc/passwd", _PASSWD, 0o644),
        ("etc/group", _GROUP, 0o644),
    ):
        entry = _entry(name, tarfile.REGTYPE, mode)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    for tool in tools:
        add_link(archive, f"bin/{tool}", "busybox")


def add_link(archive: tarfile.TarFile, path: str, target: str) -> None:
    """Puts a symbolic link into a root file system."""
    link = _entry(path, tarfile.SYMTYPE, 0o777)
    link.linkname = target
    archive.addfile(link)


def _file_system(busybox: Path) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        add_busybox(archive, busybox)
    return made.getvalue()


def _program(busybox: Path) -> tuple[bytes, list[str]]:
    advice = "Install a static one: apt-get install busybox-static."
    try:
        content = busybox.read_bytes()
        listing = subprocess.run(  # noqa: S603 - the path is ours
            [busybox, "--list"], capture_output=True, check=True, timeout=_LIST_SECONDS
        )
    except (OSError, subprocess.SubprocessError) as failure:
        raise BusyboxMissing(f"{busybox} does not work ({failure}). {advice}") from failure
    if _needs_interpreter(content):
        raise BusyboxMissing(f"{busybox} is not static. {advice}")
    return content, [tool for tool in listing.stdout.decode().split() if tool != "busybox"]


def _needs_interpreter(program: bytes) -> bool:
    """Whether a 64-bit ELF file names a dynamic linker, which the image would lack."""
    table, size, count = struct.unpack_from("<32xQ14xHH", program)
    kinds = (struct.unpack_from("<I", program, table + size * index) for index in range(count))
    return any(kind == (_ELF_INTERPRETER,) for kind in kinds)


def _entry(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type = kind
    entry.mode = mode
    return entry

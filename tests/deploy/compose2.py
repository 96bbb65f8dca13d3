"""Compose 2: one program, taken from a later Debian's package without installing it."""

import hashlib
import sys
from pathlib import Path

from tests.deploy.images import run

_MIRROR = "http://deb.debian.org/debian/pool/main/d/docker-compose"
_PACKAGE = "docker-compose_2.26.1-4_amd64.deb"
_SHA256 = "47681197cb2b1ab88206b42a1a92fc75f50d9530a6322d03494a473eed0408ea"


def compose2(folder: Path) -> str:
    """The path of its program."""
    package = folder / _PACKAGE
    fetch = "import sys, urllib.request as web; web.urlretrieve(*sys.argv[1:])"
    run(sys.executable, "-c", fetch, f"{_MIRROR}/{_PACKAGE}", str(package))
    assert hashlib.sha256(package.read_bytes()).hexdigest() == _SHA256
    run("dpkg", "--extract", str(package), str(folder))
    return str(folder / "usr/libexec/docker/cli-plugins/docker-compose")

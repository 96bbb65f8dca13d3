"""The images of the network, built on this machine without any image registry."""

import os
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PREFIX = "compute-horde-tests"
BASE = "compute-horde-test-base:bookworm"
NAMES = ("facilitator", "validator", "miner", "executor", "nginx", "postgres", "redis")

_MIRROR = "http://deb.debian.org/debian"
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_INSIDE = "/etc/ssl/host-certificates.crt"
_SOURCES = f"""\
deb {_MIRROR} bookworm main
deb {_MIRROR} bookworm-updates main
deb {_MIRROR}-security bookworm-security main
"""


def run(*command: str, cwd: Path = ROOT, **environment: str) -> str:
    """What a command printed. It must succeed."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-4000:]}"
    return done.stdout


def exists(image: str) -> bool:
    """Whether the engine has an image."""
    return bool(run("docker", "images", "--quiet", image).strip())


def base_image() -> str:
    """A Debian 12 made by debootstrap, in place of the one that Dockerfiles pin.

    It trusts whom this machine trusts, so that packages can be fetched where this machine can.
    """
    if not exists(BASE):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder, "root")
            include = "--include=ca-certificates"
            run("debootstrap", "--variant=minbase", include, "bookworm", str(root), _MIRROR)
            for leftover in (root / "var/cache/apt/archives").glob("*.deb"):
                leftover.unlink()
            (root / "etc/apt/sources.list").write_text(_SOURCES)
            (root / _INSIDE.removeprefix("/")).write_bytes(_CERTIFICATES.read_bytes())
            trust = f"ENV SSL_CERT_FILE={_INSIDE} PIP_CERT={_INSIDE}"
            pack = 'tar -C "$1" -c . | docker import --change "$2" - "$3"'
            run("sh", "-c", pack, "sh", str(root), trust, BASE)
    return BASE


def build(version: str = "latest") -> str:
    """Builds all images as `PREFIX`/NAME:``version``, and returns the prefix."""
    options = ("--base", base_image(), "--images", PREFIX, "--version", version, "--quiet")
    run("docker/build", *options, BUILD_NETWORK="host", DOCKER_BUILDKIT="0")
    return PREFIX

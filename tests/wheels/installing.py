"""Wheels of this repository, and empty environments to install them in."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
UV = str(Path(sys.executable).with_name("uv"))
PACKAGES = ("compute-horde-common", "compute-horde-executor", "compute-horde-sdk")
VERSIONS = ("3.10", "3.11", "3.12", "3.13")
SECONDS = 300
RUNNING = "{}.{}".format(*sys.version_info[:2])


def build(folder: Path) -> None:
    """Builds the wheels."""
    for package in PACKAGES:
        run([UV, "build", "-q", "--wheel", "--package", package, "-o", str(folder)], cwd=ROOT)


class Environment:
    """A virtual environment without anything in it, and with no folder of ours on its path."""

    def __init__(self, home: Path, wheels: Path, version: str) -> None:
        self._wheels = wheels
        self._home = home
        self.python = str(home / "bin" / "python")
        run([UV, "venv", "-q", "--python", interpreters()[version], str(home)])

    def install(self, extra: str = "", *options: str) -> str:
        """Installs the SDK with an extra as somebody does who has only the wheels and PyPI; what
        uv said."""
        (wheel,) = self._wheels.glob("compute_horde_sdk-*.whl")
        others = [path for path in self._wheels.glob("*.whl") if path != wheel]
        # The executor is for the extra that asks for it.
        others = [path for path in others if extra == "local" or "executor" not in path.name]
        sdk = f"compute-horde-sdk{f'[{extra}]' if extra else ''} @ {wheel.as_uri()}"
        command = [UV, "pip", "install", "--python", self.python, *options]
        done = run([*command, *map(str, others), sdk])
        return done.stdout + done.stderr

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What Python does with arguments, whether it succeeds or not."""
        return run([self.python, *arguments], fails=True)

    def horde(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What the command does with arguments, whether it succeeds or not."""
        return run([str(self._home / "bin" / "horde"), *arguments], fails=True)


def interpreters() -> dict[str, str]:
    """The interpreters of this machine on which the SDK runs, by version; the running one, too."""
    found = {RUNNING: sys.executable}
    for version in VERSIONS:
        found |= {version: next(_that_start(version), "")} if version not in found else {}
    return {version: path for version, path in sorted(found.items()) if path}


def _that_start(version: str) -> Iterator[str]:
    pyenv = Path.home() / ".pyenv" / "versions"
    managed = Path.home() / ".local" / "share" / "uv" / "python"
    candidates = [
        shutil.which(f"python{version}"),
        *sorted(pyenv.glob(f"{version}.*/bin/python")),
        *sorted(managed.glob(f"cpython-{version}.*/bin/python")),
    ]
    for path in (str(each) for each in candidates if each is not None):
        # A shim of pyenv may lead to nothing.
        started = subprocess.run([path, "-c", ""], capture_output=True, check=False)
        if started.returncode == 0:
            yield path


def run(
    command: list[str], *, cwd: Path = Path("/"), fails: bool = False
) -> subprocess.CompletedProcess[str]:
    """Runs a program as a user's shell would, in which nothing of ours is set."""
    hidden = {"VIRTUAL_ENV", "PYTHONPATH", "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        cwd=cwd,
        env={name: value for name, value in os.environ.items() if name not in hidden},
    )
    assert fails or done.returncode == 0, (
        f"{command}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    )
    return done

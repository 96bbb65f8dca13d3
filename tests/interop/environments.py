"""Virtual environments with the published packages, made once and kept in ``.dev/interop``."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / ".dev" / "interop"
SCRIPTS = Path(__file__).parent / "scripts"
SECONDS = 300
OVERRIDES = (
    # 0.0.19 asks for a certifi that is not there yet; nothing in it imports certifi.
    "certifi<2027",
    # 2.x refuses to be imported beside the scalecodec that the library's chain client needs.
    "async-substrate-interface<2",
)


class Published:
    """Python with one published package."""

    def __init__(self, requirement: str) -> None:
        self.requirement = requirement
        key = hashlib.sha256("\n".join((requirement, *OVERRIDES, sys.version)).encode())
        self.home = FOLDER / f"{requirement.replace('==', '-')}-{key.hexdigest()[:10]}"

    def install(self) -> "Published":
        """Makes the environment if it is not there."""
        ready = self.home / "ready"
        if ready.exists():
            return self
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        overrides = self.home / "overrides.txt"
        overrides.write_text("\n".join(OVERRIDES))
        uv = str(ROOT / ".venv" / "bin" / "uv")
        python = str(self.home / "venv" / "bin" / "python")
        _run([uv, "venv", "--quiet", "--python", sys.executable, str(self.home / "venv")])
        _run(
            [
                *(uv, "pip", "install", "--quiet", "--python", python),
                *("--override", str(overrides), self.requirement),
            ]
        )
        ready.touch()
        return self

    def run(self, script: str, given: object) -> Any:  # noqa: ANN401 - any JSON
        """What a script of ``scripts/`` prints (JSON) for what it is given (JSON)."""
        return _printed(str(self.home / "venv" / "bin" / "python"), script, given)


class Ours:
    """The Python that runs the tests, with what is in this repository."""

    def run(self, script: str, given: object) -> Any:  # noqa: ANN401 - any JSON
        """As of `Published`."""
        return _printed(sys.executable, script, given)


def sdk(version: str) -> Published | Ours:
    """An SDK that is published, or ``ours``."""
    return Ours() if version == "ours" else Published(f"compute-horde-sdk=={version}").install()


def _printed(python: str, script: str, given: object) -> Any:  # noqa: ANN401 - any JSON
    return json.loads(_run([python, str(SCRIPTS / script)], json.dumps(given)))


def _run(command: list[str], given: str = "") -> str:
    done = subprocess.run(
        command,
        input=given,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        cwd="/",
        env={k: v for k, v in os.environ.items() if k not in {"VIRTUAL_ENV", "PYTHONPATH"}},
    )
    if done.returncode != 0:
        raise AssertionError(f"{command[:3]} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return done.stdout

"""Type checkers see the SDK's public names as they are meant, in users' programs."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
BIN = Path(sys.executable).parent
SECONDS = 240
# The SDK, and what it needs of the shared packages.
PACKAGES = (
    "compute_horde_sdk",
    "compute_horde_core",
    "compute_horde_common.jobs",
    "compute_horde_common.protocol",
    "compute_horde_common.clock",
    "compute_horde_common.python310",
)
MEMBERS = ("compute_horde_sdk", "compute_horde_common", "executor")
SETTINGS = f"""
[mypy]
strict = True
follow_imports = silent
plugins = pydantic.mypy
mypy_path = $MYPY_CONFIG_FILE_DIR:{":".join(f"{ROOT}/{member}/src" for member in MEMBERS)}

[mypy-sky.*,transfers,bittensor_wallet.*]
ignore_missing_imports = True

# Executors' own transfers, and the clock that tests wind by hand, need Python 3.11.
[mypy-compute_horde_core.volume.transfers,compute_horde_common.clock,backports.*]
ignore_errors = True
"""
# What only Python 3.10 needs is not there where a later one runs the tests.
BACKPORTS = ("async-timeout>=5", "backports-strenum>=1.3", "tomli>=2")
MYPY = re.compile(r"^(?P<file>[^:]+):(?P<line>\d+): error: (?P<text>.*)$", re.MULTILINE)


def _run(*command: str, cwd: Path = ROOT, **settings: str) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    return done.stdout


def _copied(program: Path, folder: Path) -> Path:
    """A program as a user's, who does not overlook what the project does."""
    copy = folder / program.name
    copy.write_text(program.read_text().replace("# mypy: ignore-errors", "#"))
    return copy


def _mypy(program: Path, cache: Path) -> list[tuple[int, str]]:
    """Errors by line, as mypy finds them for a user who has set nothing but strictness."""
    said = _run(
        *(str(BIN / "mypy"), "--strict", "--config-file=", "--cache-dir", str(cache)),
        *("--follow-imports=silent", "--no-error-summary", str(_copied(program, cache))),
        cwd=cache,
    )
    return [(int(found["line"]), found["text"]) for found in MYPY.finditer(said)]


def _pyright(program: Path, folder: Path) -> list[tuple[int, str]]:
    """Errors by line, as pyright finds them."""
    _copied(program, folder)
    (folder / "pyrightconfig.json").write_text(
        json.dumps({"include": [program.name], "typeCheckingMode": "strict"})
    )
    said = json.loads(
        _run(
            *(str(BIN / "pyright"), "--outputjson", "--pythonpath", sys.executable),
            cwd=folder,
            PYRIGHT_PYTHON_IGNORE_WARNINGS="1",
        )
    )
    found = [each for each in said["generalDiagnostics"] if each["severity"] == "error"]
    return [(each["range"]["start"]["line"] + 1, each["message"]) for each in found]


@pytest.fixture(scope="session")
def mypy_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mypy")


def _marked() -> list[int]:
    lines = (HERE / "wrong.py").read_text().splitlines()
    return [number for number, line in enumerate(lines, 1) if line.endswith("# error")]


@pytest.mark.timeout(SECONDS)
def test_a_right_program_has_no_error_in_mypy(mypy_cache: Path) -> None:
    assert _mypy(HERE / "good.py", mypy_cache) == []


@pytest.mark.timeout(SECONDS)
def test_every_wrong_line_and_no_other_is_an_error_in_mypy(mypy_cache: Path) -> None:
    assert sorted(Counter(line for line, _ in _mypy(HERE / "wrong.py", mypy_cache))) == _marked()


@pytest.mark.timeout(SECONDS)
def test_a_right_program_has_no_error_in_pyright(tmp_path: Path) -> None:
    assert _pyright(HERE / "good.py", tmp_path) == []


@pytest.mark.timeout(SECONDS)
def test_every_wrong_line_and_no_other_is_an_error_in_pyright(tmp_path: Path) -> None:
    assert sorted(Counter(line for line, _ in _pyright(HERE / "wrong.py", tmp_path))) == _marked()


@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("version", ["3.10", "3.13"])
def test_the_sdk_is_typed_for_the_oldest_and_for_the_latest_python(
    version: str, tmp_path: Path
) -> None:
    (tmp_path / "mypy.ini").write_text(SETTINGS)
    _run(str(BIN / "uv"), "pip", "install", "-q", "--target", str(tmp_path), *BACKPORTS)
    packages = [word for name in PACKAGES for word in ("--package", name)]

    said = _run(str(BIN / "mypy"), "--python-version", version, *packages, cwd=tmp_path)

    assert said.startswith("Success"), said

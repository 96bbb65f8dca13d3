"""The SDK's wheel, installed alone into empty environments, is all that a user needs."""

import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.wheels.installing import ROOT, RUNNING, Environment, build, interpreters, run

Installer = Callable[..., Environment]

EVERYWHERE = {
    *("annotated-types", "anyio", "certifi", "cffi", "compute-horde-common", "compute-horde-sdk"),
    *("cryptography", "h11", "httpcore", "httpx", "httpx-sse", "idna", "pycparser", "pydantic"),
    *("pydantic-core", "typing-extensions", "typing-inspection"),
}
PYTHON_310 = {"async-timeout", "backports-strenum", "exceptiongroup"}
LOOK = """
import asyncio, importlib.metadata as metadata, pkgutil, re, sys
import compute_horde_core
from compute_horde_sdk.v1 import (
    ComputeHordeClient, ComputeHordeValidationError, HTTPInputVolume)
from compute_horde_sdk.v1 import fallback

class Key:
    ss58_address = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"
    def sign(self, data): return bytes(64)

async def main():
    client = ComputeHordeClient(Key(), Key.ss58_address, facilitator_url="http://127.0.0.1:9")
    try:
        await client.create_job(executor_class="always_on.test", job_namespace="SN12.0",
                                docker_image="busybox", input_volumes={
                                    "/elsewhere": HTTPInputVolume(url="http://127.0.0.1:9")})
    except ComputeHordeValidationError as error:
        print(error)

asyncio.run(main())
for module in pkgutil.walk_packages(compute_horde_core.__path__, "compute_horde_core."):
    if not module.name.endswith(("__main__", ".transfers")):
        __import__(module.name)
print(fallback.FallbackJobSpec.__name__)
print({"django", "celery", "channels"} & {*sys.modules})
print(*sorted(re.sub("[._]", "-", each.name) for each in metadata.distributions()))
"""
LOCAL = """
from compute_horde_sdk.v1 import ComputeHordeError
from compute_horde_sdk.v1.local import LocalClient
try:
    LocalClient()
except ComputeHordeError as error:
    print(error)
else:
    print("there it is")
"""


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those that are to be released, or else those of the working tree."""
    if "RELEASED_WHEELS" in os.environ:
        return Path(os.environ["RELEASED_WHEELS"])
    folder = tmp_path_factory.mktemp("wheels")
    build(folder)
    return folder


@pytest.fixture(scope="session")
def install(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Installer:
    """Makes an environment with the SDK and an extra in it, once."""
    made: dict[tuple[str, str], Environment] = {}

    def installed(version: str, extra: str = "") -> Environment:
        if (version, extra) not in made:
            home = tmp_path_factory.mktemp("environment") / "venv"
            made[version, extra] = Environment(home, wheels, version)
            made[version, extra].install(extra)
        return made[version, extra]

    return installed


on_each_python = pytest.mark.parametrize("version", interpreters())


@on_each_python
def test_the_core_alone_checks_a_job_and_brings_nothing_else(
    install: Installer, version: str
) -> None:
    said = install(version).run("-W", "error", "-c", LOOK)

    distributions = EVERYWHERE | (PYTHON_310 if version == "3.10" else set())
    assert said.stderr == ""
    assert said.stdout.splitlines() == [
        "input_volumes['/elsewhere']: the path must start with /volume/",
        "FallbackJobSpec",
        "set()",
        " ".join(sorted(distributions)),
    ]


@on_each_python
def test_the_command_line_says_how_to_get_it(install: Installer, version: str) -> None:
    done = install(version).horde("classes")

    assert (done.returncode, done.stdout, done.stderr) == (
        2,
        "",
        "horde: the command line is not installed. Run: pip install 'compute-horde-sdk[cli]'\n",
    )


@on_each_python
def test_the_command_line_works_where_it_is_asked_for(install: Installer, version: str) -> None:
    environment = install(version, "cli")

    help_, classes = environment.horde("--help"), environment.horde("classes")

    assert (help_.returncode, classes.returncode) == (0, 0), help_.stderr + classes.stderr
    assert "horde" in help_.stdout
    assert "always_on.llm.a6000" in classes.stdout


@on_each_python
def test_local_runs_say_what_they_need(install: Installer, version: str) -> None:
    said = install(version).run("-c", LOCAL)

    needed = {
        "3.10": "LocalClient needs Python 3.11 or later\n",
    }.get(version, "LocalClient needs the executor: pip install 'compute-horde-sdk[local]'\n")
    assert (said.stdout, said.stderr) == (needed, "")


def test_local_runs_find_their_executor_where_they_are_asked_for(install: Installer) -> None:
    environment = install(RUNNING, "local")

    said, executor = environment.run("-c", LOCAL), environment.run("-m", "executor", "--help")

    assert (said.stdout, said.stderr) == ("there it is\n", "")
    assert executor.returncode == 0, executor.stderr


def test_the_fallback_can_be_installed(install: Installer) -> None:
    said = install(RUNNING).install("fallback", "--dry-run")

    assert " + skypilot==0.14." in said


@pytest.mark.parametrize(
    "package", ["compute_horde_common", "compute_horde_core", "compute_horde_sdk"]
)
def test_a_package_says_that_it_is_typed(install: Installer, package: str) -> None:
    found = install(RUNNING).run("-c", f"import {package}; print({package}.__file__)")

    assert Path(found.stdout.strip()).with_name("py.typed").is_file()


@pytest.mark.parametrize("name", ["common", "executor", "sdk"])
def test_a_wheel_carries_the_licence(wheels: Path, name: str) -> None:
    (wheel,) = wheels.glob(f"compute_horde_{name}-*.whl")

    (licence,) = [each for each in zipfile.ZipFile(wheel).namelist() if each.endswith("/LICENSE")]

    assert zipfile.ZipFile(wheel).read(licence) == (ROOT / "LICENSE").read_bytes()


def test_a_users_program_type_checks_against_what_is_installed(
    install: Installer, tmp_path: Path
) -> None:
    python = install(RUNNING).python
    program = str(ROOT / "tests" / "types" / "good.py")

    done = run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--python-executable", python),
            *("--config-file=", "--cache-dir", str(tmp_path), program),
        ],
        fails=True,
    )

    assert done.stdout.startswith("Success"), done.stdout + done.stderr

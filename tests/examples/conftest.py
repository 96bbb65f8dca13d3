"""Two Docker hosts, the example package installed, and a network whose miner uses both."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from compute_horde_common.containers.docker import DockerEngine
from compute_horde_common.containers.interface import DEFAULT_ADDRESS
from compute_horde_devnet.images import job_image
from compute_horde_devnet.network import Network
from compute_horde_devnet.options import NetworkOptions
from compute_horde_devnet.processes import spawn, stop, wait_until
from tests.deploy import images as building

EXAMPLE = Path(__file__).parents[2] / "examples" / "executor_manager"
UV = Path(sys.executable).with_name("uv")
SECONDS = 60.0
STOP_SECONDS = 30.0
BRIDGE = "horde-second"
BRIDGE_ADDRESS = "198.18.77.1/24"
STAYING = "compute-horde-tests/staying-executor:1"
"""The executor's image, with a program that stays: what is tested is who starts and ends it."""

sys.path.insert(0, str(EXAMPLE))


@pytest.fixture(scope="session")
def executor_image() -> str:
    image = f"{building.build()}/executor:latest"
    subprocess.run(
        ["docker", "build", "--quiet", "--tag", STAYING, "-"],
        input=f'FROM {image}\nCMD ["sleep", "60"]\n'.encode(),
        env={**os.environ, "DOCKER_BUILDKIT": "0"},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return image


@pytest.fixture(scope="session")
def second_host(executor_image: str) -> Iterator[str]:
    """Where another Docker daemon answers; it has the images that the usual one has.

    Its /run is its own, so that its containers find it, and not the usual one, at Docker's usual
    place, as on a machine of its own.
    """
    folder = Path(tempfile.mkdtemp(prefix="horde-"))
    (folder / "run").mkdir()
    # Told to have no bridge, it would delete the usual daemon's.
    dockerd = f"dockerd --host unix:///run/docker.sock --data-root {folder}/data --bridge {BRIDGE}"
    script = f"""set -e
        ip link show {BRIDGE} || ip link add {BRIDGE} type bridge
        ip addr replace {BRIDGE_ADDRESS} dev {BRIDGE}
        mount --bind {folder}/run /run
        exec {dockerd} --iptables=false --ip-forward=false"""
    daemon = spawn(
        "dockerd",
        ["unshare", "--mount", "sh", "-c", script],
        env=dict(os.environ),
        log=folder / "dockerd.log",
        die_with_parent=True,
        cwd=folder,
    )
    address = f"unix://{folder}/run/docker.sock"
    try:
        wait_until(lambda: _answers(address), [daemon], what="dockerd", seconds=SECONDS)
        _copy_images(address, executor_image, STAYING, job_image())
        yield address
    finally:
        stop([daemon], seconds=STOP_SECONDS)
        subprocess.run(["ip", "link", "delete", BRIDGE], check=True)
        shutil.rmtree(folder)


@pytest.fixture
async def engines(second_host: str) -> AsyncIterator[tuple[DockerEngine, DockerEngine]]:
    async with DockerEngine(DEFAULT_ADDRESS) as first, DockerEngine(second_host) as second:
        yield first, second


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH with the example package, as pip installs it."""
    folder: Path = tmp_path_factory.mktemp("installed")
    building.run(
        *(str(UV), "pip", "install", "--quiet", "--no-deps", "--python", sys.executable),
        *("--target", str(folder), str(EXAMPLE)),
    )
    return folder


@pytest.fixture(scope="session")
def network(
    installed: Path,
    executor_image: str,
    second_host: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Network]:
    options = NetworkOptions(
        data=tmp_path_factory.mktemp("network"),
        die_with_parent=True,
        miner_settings={
            "PYTHONPATH": str(installed),
            "EXECUTOR_MANAGER": "docker_hosts",
            "DOCKER_HOSTS": f"127.0.0.1={DEFAULT_ADDRESS}=1,127.0.0.2={second_host}=1",
            "EXECUTOR_IMAGE": executor_image,
            "EXECUTOR_NETWORK": "host",
        },
    )
    started = Network(options, print)
    try:
        started.start()
        yield started
    finally:
        started.stop()


def _answers(address: str) -> bool:
    command = ["docker", "--host", address, "version"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _copy_images(address: str, *images: str) -> None:
    with subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as saving:
        subprocess.run(
            ["docker", "--host", address, "load", "--quiet"],
            stdin=saving.stdout,
            stdout=subprocess.DEVNULL,
            check=True,
        )

"""A job sees its own files, its own devices and nothing that is the host's or another job's."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.escape.attacker import Attacker
from tests.escape.attacks import sight
from tests.escape.neighbour import Neighbour
from tests.stand import inline

OWN_NAMESPACES = ("ipc", "mnt", "net", "pid", "uts")
SHM = "/dev/shm"  # noqa: S108 - the job's own
DEVICES = ("full", "null", "pts/ptmx", "random", "tty", "urandom", "zero")


async def seen(attacker: Attacker, *arguments: str) -> object:
    return json.loads(await attacker.said(sight, *arguments))


async def test_nothing_of_the_kernels_files_opens_for_writing(attacker: Attacker) -> None:
    assert await seen(attacker, "writable") == []


async def test_no_control_group_can_be_made(attacker: Attacker) -> None:
    assert await seen(attacker, "new_control_groups") == []


async def test_what_the_kernel_tells_of_the_host_is_masked(attacker: Attacker) -> None:
    assert await seen(attacker, "unmasked") == []


async def test_only_the_jobs_own_folders_are_mounted(attacker: Attacker) -> None:
    assert await seen(attacker, "mounts") == [
        "/",
        "/dev",
        "/dev/mqueue",
        "/dev/pts",
        SHM,
        "/etc/hostname",
        "/etc/hosts",
        "/etc/resolv.conf",
        "/output",
        "/script.py",
        "/specs",
        "/volume",
    ]


async def test_there_are_no_devices_but_harmless_ones(attacker: Attacker) -> None:
    assert await seen(attacker, "devices") == [f"/dev/{name}" for name in DEVICES]


async def test_there_is_no_socket_to_talk_to_docker_or_anybody(attacker: Attacker) -> None:
    assert await seen(attacker, "sockets") == []


async def test_there_is_no_terminal_to_type_into(attacker: Attacker) -> None:
    assert await seen(attacker, "terminal") is False


async def test_the_executors_environment_stays_outside(attacker: Attacker) -> None:
    assert await seen(attacker, "environment") == [
        "HOME",
        "HOSTNAME",
        "NVIDIA_VISIBLE_DEVICES",
        "PATH",
    ]


async def test_a_job_has_no_capabilities_gains_none_and_is_filtered(attacker: Attacker) -> None:
    found = await seen(attacker, "status")

    sets = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    assert found == {**dict.fromkeys(sets, "0" * 16), "NoNewPrivs": "1", "Seccomp": "2"} | {
        "Seccomp_filters": "1"
    }


async def test_a_job_shares_no_namespace_that_would_show_it_the_host(attacker: Attacker) -> None:
    found = await seen(attacker, "namespaces")

    assert isinstance(found, dict)
    assert [name for name in OWN_NAMESPACES if found[name] == _ours(name)] == []


def _ours(name: str) -> str:
    return str(Path("/proc/self/ns", name).readlink())


@pytest.fixture
def secret(tmp_path: Path) -> Iterator[str]:
    """The name of files that lie about on the host."""
    name = f"secret-{uuid4().hex}"
    places = [folder / name for folder in (tmp_path, Path.home(), Path(SHM))]
    for place in places:
        place.touch()
    yield name
    for place in places:
        place.unlink()


async def test_the_hosts_files_cannot_be_found(attacker: Attacker, secret: str) -> None:
    assert await seen(attacker, "found", secret) == []


async def test_other_jobs_files_cannot_be_found(attacker: Attacker, neighbour: Neighbour) -> None:
    await neighbour.begin("echo hidden > /output/secret", volume=inline({"secret": "hidden"}))

    found = await seen(attacker, "found", "secret")

    assert (neighbour.folder / "volume" / "secret").read_text() == "hidden"
    assert (neighbour.folder / "output" / "secret").read_text() == "hidden\n"
    assert found == []


async def test_no_user_of_the_host_can_start_what_a_job_leaves(neighbour: Neighbour) -> None:
    await neighbour.begin("cp /bin/busybox /output/shell && chmod 6755 /output/shell")

    assert (neighbour.folder / "output" / "shell").stat().st_mode & 0o7777 == 0o6755
    assert neighbour.folder.stat().st_mode & 0o077 == 0


@pytest.fixture
def setuid_image(python_image: str) -> Iterator[str]:
    """One whose user is nobody, with a Python that belongs to root and is marked setuid."""
    tag = f"compute-horde-setuid-test:{uuid4().hex}"
    script = "cp /usr/bin/python3.* /usr/bin/setuid && chmod 4755 /usr/bin/setuid"
    made = ["--name", tag.replace(":", "-"), python_image, "sh", "-c", script]
    subprocess.run(["docker", "run", "--network", "none", *made], check=True)
    change = ["--change", "USER 65534", tag.replace(":", "-"), tag]
    subprocess.run(["docker", "commit", *change], check=True, capture_output=True)
    subprocess.run(["docker", "rm", tag.replace(":", "-")], check=True, capture_output=True)
    yield tag
    subprocess.run(["docker", "rmi", tag], check=True, capture_output=True)


async def test_a_setuid_program_gives_no_other_user(attacker: Attacker, setuid_image: str) -> None:
    attacker.image = setuid_image

    assert await seen(attacker, "setuid") == {"I am": 65534, "it is": 65534}

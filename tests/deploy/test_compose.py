"""The compose file, ``configure``, and what the containers may do."""

import json
import re
import stat
import subprocess
import urllib.error
import urllib.request
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from compute_horde_devnet.state import NetworkState
from tests.deploy.compose2 import compose2
from tests.deploy.images import run
from tests.deploy.stack import PROJECT, Stack

COMMON = ("app", "beat", "db", "nginx", "redis", "worker")
PROFILES = {
    "facilitator": {f"facilitator-{name}" for name in COMMON},
    "validator": {f"validator-{name}" for name in (*COMMON, "link")},
    "miner": {f"miner-{name}" for name in (*COMMON, "fleet")},
}
PROFILES["all"] = set().union(*PROFILES.values())
WALLET = {"BITTENSOR_WALLET_NAME": "w", "BITTENSOR_WALLET_HOTKEY_NAME": "h"}
VOLUMES = {"miner_db_data", "miner_redis_data", "validator_db", "validator_redis"}
VOLUMES |= {"validator_static", "miner_static"}
VOLUMES |= {"facilitator_db", "facilitator_redis", "facilitator_static"}
"""Operators look for them by these names."""

pytestmark = pytest.mark.timeout(900)


def _refused(folder: Path, *arguments: str, **variables: str) -> tuple[int, str, str]:
    done = subprocess.run(
        ("./configure", *arguments),
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="session")
def second(tmp_path_factory: pytest.TempPathFactory) -> str:
    return compose2(tmp_path_factory.mktemp("compose2"))


@pytest.mark.parametrize("profile", PROFILES)
def test_both_generations_of_compose_read_the_file(
    tmp_path: Path, second: str, profile: str
) -> None:
    """The first one lists every profile's services, whichever is chosen."""
    for program, expected in (("docker-compose", "all"), (second, profile)):
        stack = Stack(tmp_path, program)
        stack.configure(profile, **WALLET)

        assert set(stack.compose("config", "--services").split()) == PROFILES[expected]


def test_volumes_have_the_names_that_operators_know(tmp_path: Path, second: str) -> None:
    stack = Stack(tmp_path, second)
    stack.configure("all", **WALLET)

    described = json.loads(stack.compose("config", "--format", "json"))

    assert {volume["name"] for volume in described["volumes"].values()} == VOLUMES


def test_all_that_is_missing_is_told_at_once_and_nothing_is_written(tmp_path: Path) -> None:
    Stack(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())

    status, out, error = _refused(tmp_path, "validator")

    assert (status, out) == (1, "")
    assert error == (
        "configure: not configured:\n"
        "BITTENSOR_WALLET_NAME is missing: the name of the wallet, a folder below"
        " HOST_WALLET_DIR\n"
        "BITTENSOR_WALLET_HOTKEY_NAME is missing: the name of the hotkey, a file in hotkeys/ of"
        " that wallet\n"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_trusted_miner_needs_its_validators_key_and_no_wallet(tmp_path: Path) -> None:
    Stack(tmp_path)

    status, _, error = _refused(tmp_path, "miner", IS_LOCAL_MINER="true")

    assert status == 1
    assert error == (
        "configure: not configured:\n"
        "LOCAL_MINER_VALIDATOR_PUBLIC_KEY is missing: the hotkey (SS58) of the validator that a"
        " trusted miner serves\n"
    )


@pytest.mark.parametrize("value", ["it's", 'say "x"', "$HOME", "a#b", "two\nlines", "`id`", "a\\b"])
def test_a_value_that_compose_would_read_otherwise_is_refused(tmp_path: Path, value: str) -> None:
    Stack(tmp_path)

    status, _, error = _refused(tmp_path, "facilitator", AWS_ENDPOINT_URL=value)

    assert status == 1
    assert error.splitlines()[1].startswith("AWS_ENDPOINT_URL has ")
    assert error.splitlines()[1].endswith("which Compose reads in its own way")
    assert not (tmp_path / ".env").exists()


@pytest.mark.parametrize("arguments", [("nobody",), ("miner", "validator")])
def test_a_profile_that_does_not_exist_is_named(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    Stack(tmp_path)

    assert _refused(tmp_path, *arguments) == (
        1,
        "",
        (
            f'configure: there is no profile "{" ".join(arguments)}"; there are facilitator'
            " validator miner all\n"
        ),
    )


def test_configuring_again_keeps_secrets_and_takes_what_is_said(tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    stack.configure("miner", **WALLET, EXECUTOR_SLOTS="always_on.test=1")
    (tmp_path / "miner.env").write_text("LOG_LEVEL=debug\n")
    with (tmp_path / ".env").open("a") as file:
        file.write("MINE=kept\n")
    secrets = {path.name: path.read_bytes() for path in (tmp_path / "secrets").iterdir()}

    stack.configure("miner", EXECUTOR_SLOTS="always_on.test=3")

    lines = (tmp_path / ".env").read_text().splitlines()
    assert {"MINE=kept", "EXECUTOR_SLOTS=always_on.test=3", "BITTENSOR_WALLET_NAME=w"} < set(lines)
    assert len({line.partition("=")[0] for line in lines}) == len(lines)
    assert (tmp_path / "miner.env").read_text() == "LOG_LEVEL=debug\n"
    assert secrets == {path.name: path.read_bytes() for path in (tmp_path / "secrets").iterdir()}


def test_secrets_are_for_their_readers_only(tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    stack.configure("all", **WALLET)

    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "secrets").iterdir()}
    others = {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in (".env", "secrets")}

    assert modes == {0o400}
    assert others == {".env": 0o600, "secrets": 0o700}
    words = [path.read_text() for path in (tmp_path / "secrets").iterdir()]
    assert len(set(words)) == len(words)


def _containers(stack: Stack) -> dict[str, dict[str, Any]]:
    found = json.loads(run("docker", "inspect", *stack.compose("ps", "--quiet").split()))
    return {
        container["Config"]["Labels"]["com.docker.compose.service"]: container
        for container in found
    }


def test_every_container_is_up_and_those_that_can_tell_are_healthy(
    stack: Stack, state: NetworkState
) -> None:
    containers = _containers(stack)

    assert set(containers) == PROFILES["all"]
    assert {name: one["State"]["Status"] for name, one in containers.items()} == dict.fromkeys(
        PROFILES["all"], "running"
    )
    assert {one["RestartCount"] for one in containers.values()} == {0}
    assert {"Healthcheck" in one["Config"] for one in containers.values()} == {True}


def test_only_the_fleet_may_do_more_than_others(stack: Stack, state: NetworkState) -> None:
    containers = _containers(stack)
    socket = "/var/run/docker.sock"

    with_socket = {
        name
        for name, one in containers.items()
        if any(mount["Source"] == socket for mount in one["Mounts"])
    }
    as_root = {name for name, one in containers.items() if one["Config"]["User"] in {"", "0:0"}}
    writable = {name for name, one in containers.items() if not one["HostConfig"]["ReadonlyRootfs"]}
    stores = {name for name in containers if name.endswith(("-db", "-redis"))}

    assert with_socket == {"miner-fleet"}
    assert as_root == {"miner-fleet", *stores}
    assert writable == stores
    for one in containers.values():
        assert one["HostConfig"]["CapDrop"] == ["ALL"]
        assert one["HostConfig"]["SecurityOpt"] == ["no-new-privileges:true"]
        assert not one["HostConfig"]["Privileged"]
        assert one["HostConfig"]["LogConfig"]["Config"] == {"max-file": "5", "max-size": "20m"}


def test_three_ports_are_published_and_the_validators_is_not_public(
    stack: Stack, state: NetworkState
) -> None:
    addresses = {
        name: {binding["HostIp"] for port in ports.values() for binding in port or []}
        for name, one in _containers(stack).items()
        if any((ports := one["NetworkSettings"]["Ports"]).values())
    }

    assert set(addresses) == {"facilitator-nginx", "validator-nginx", "miner-nginx"}
    # The tests' own setting; without one it is public.
    assert addresses["facilitator-nginx"] == {"127.0.0.1"}
    assert addresses["validator-nginx"] == {"127.0.0.1"}
    assert "0.0.0.0" in addresses["miner-nginx"]


def _get(stack: Stack, service: str, path: str) -> tuple[int, str]:
    address = stack.compose("port", f"{service}-nginx", "8080").strip()
    url = f"http://127.0.0.1:{address.rpartition(':')[2]}{path}"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.parametrize("service", ["facilitator", "validator", "miner"])
def test_a_service_answers_through_its_web_server(
    stack: Stack, state: NetworkState, service: str
) -> None:
    status, page = _get(stack, service, "/admin/login/")
    style = re.search(r'href="(/static/[^"]+\.css)"', page)

    assert status == 200
    assert style is not None
    assert _get(stack, service, style[1])[0] == 200
    assert _get(stack, service, "/health") == (
        200,
        '{"status": "ok", "database": true, "redis": true}',
    )


def test_a_service_tells_its_version(stack: Stack, state: NetworkState) -> None:
    miner, validator = version("compute-horde-miner"), version("compute-horde-validator")

    assert json.loads(_get(stack, "miner", "/version")[1]) == {
        "miner_version": miner,
        "runner_version": miner,
    }
    assert json.loads(_get(stack, "validator", "/version")[1]) == {
        "service": "validator",
        "version": validator,
    }


def test_executors_cannot_reach_what_the_miner_keeps(stack: Stack, state: NetworkState) -> None:
    probe = "import socket; socket.create_connection(('miner-db', 5432), timeout=3)"
    image = _containers(stack)["miner-app"]["Config"]["Image"].replace("/miner:", "/executor:")
    command = ("docker", "run", "--rm", "--network", f"{PROJECT}_executors", image)

    done = subprocess.run(
        (*command, "python3", "-c", probe), capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "Name or service not known" in done.stderr or "name resolution" in done.stderr


@pytest.mark.parametrize("container", ["facilitator-app", "validator-link", "miner-fleet"])
def test_a_services_doctor_finds_no_fault(
    stack: Stack, state: NetworkState, container: str
) -> None:
    findings = json.loads(stack.manage(container, "doctor", "--json"))

    assert {finding["state"] for finding in findings} <= {"ok", "warn"}


def test_a_miner_runs_a_job_against_itself(stack: Stack, state: NetworkState) -> None:
    said = stack.manage("miner-fleet", "self_test")

    assert said.splitlines()[-1] == "The self-test went well: a job of always_on.test ran."


def test_a_miner_is_drained_and_goes_on(stack: Stack, state: NetworkState) -> None:
    drained = stack.manage("miner-app", "drain", "--wait", "60").splitlines()
    stack.manage("miner-app", "drain", "--end")

    assert drained[-2:] == ["Serving is off: no new jobs are taken.", "No job runs."]
    stack.manage("miner-fleet", "self_test")

"""The commands with which an operator looks at a running service: doctor, and a miner's
self-test."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import psycopg
import pytest
from redis import Redis

from compute_horde_devnet.network import Network
from compute_horde_devnet.state import NetworkState, ServiceInfo
from compute_horde_sdk.v1 import ComputeHordeClient, ExecutorClass
from tests.conftest import SECONDS, SpecMaker

pytestmark = pytest.mark.timeout(240)

SINGLE = "always_on.llm.a6000"
"""A class with one slot on each miner."""
STORES = ["database", "migrations", "Redis", "worker, beat"]
ON_CHAIN = ["wallet", "chain", "registration"]
HOST = ["work directory", "Docker", "GPU", "executors"]
REACH = ["clock", "web server"]

Process = subprocess.Popen[str]


def _start(
    network: Network, process: str, *arguments: str, env: Mapping[str, str] | None = None
) -> Process:
    """Starts a management command where that process of the network runs."""
    _, usual = network._commands[process]
    return subprocess.Popen(
        [sys.executable, "-m", "django", *arguments],
        env={**usual, **(env or {})},
        cwd=network.data,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _ended(process: Process) -> tuple[int, str, str]:
    """Its exit status, and what it wrote to stdout and stderr."""
    out, error = process.communicate(timeout=SECONDS)
    return process.returncode, out, error


def _self_test(network: Network, state: NetworkState, process: str, *more: str) -> Process:
    return _start(network, process, "self_test", "--image", state.image, *more)


def _states(process: Process) -> dict[str, str]:
    """What doctor found, by name."""
    status, out, error = _ended(process)
    found = {row["name"]: row["state"] for row in json.loads(out)}
    assert (status == 0) == ("fail" not in found.values()), error
    return found


def _lines(process: Process, *names: str) -> list[str]:
    """Those lines of doctor's."""
    _, out, _ = _ended(process)
    return [line for line in out.splitlines() if line[6:].startswith(names)]


def test_doctor_finds_nothing_wrong_where_all_is_well(network: Network) -> None:
    facilitator, validator, miner, trusted = (
        _start(network, process, "doctor", "--json")
        for process in (
            "facilitator-web",
            "validator-1-link",
            "miner-1-fleet",
            "trusted-miner-1-fleet",
        )
    )

    well = "ok"
    rest = [*STORES, "serving", "disk"]
    assert _states(facilitator) == dict.fromkeys(
        ["chain", *STORES, "disk", "validators", "clock"], well
    )
    peers = ["facilitator", "trusted miner", "S3 buckets"]
    assert _states(validator) == dict.fromkeys([*ON_CHAIN, *rest, "clock", *peers], well)
    # The network's jobs of GPU classes run without one.
    everything = [*ON_CHAIN, *rest, *HOST, *REACH, "announcement", "public port"]
    assert _states(miner) == dict.fromkeys(everything, well) | {"GPU": "warn"}
    here = [*rest, *HOST, *REACH, "public port"]
    assert _states(trusted) == dict.fromkeys(here, well) | {"GPU": "warn"}


def test_doctor_tells_whose_hotkey_is_not_known(network: Network, state: NetworkState) -> None:
    stranger = {"BITTENSOR_WALLET_NAME": "client"}
    doctor = _start(network, "validator-1-link", "doctor", env=stranger)

    hotkey, url = state.client.wallet.hotkey, state.facilitator.url.replace("http", "ws")
    miner = urlsplit(state.trusted_miners[0].url)
    assert _lines(doctor, "wallet", "registration", "facilitator", "trusted") == [
        f"ok    wallet         hotkey {hotkey}",
        f"FAIL  registration   hotkey {hotkey} is not registered in subnet 12 of {state.chain_url}",
        (
            f"FAIL  facilitator    {url}/ws/v0/ does not let us in: auth.validator_not_found:"
            " this hotkey is no validator's"
        ),
        (
            f"FAIL  trusted miner  {miner.hostname} port {miner.port} does not serve us: validator"
            f" {hotkey} is not known here"
        ),
    ]


def test_doctor_tells_another_miner_from_this_one(network: Network, state: NetworkState) -> None:
    ours, theirs = (urlsplit(miner.url) for miner in state.miners)
    elsewhere = {
        "BITTENSOR_MINER_ADDRESS": str(theirs.hostname),
        "BITTENSOR_MINER_PORT": str(theirs.port),
    }
    doctor = _start(network, "miner-1-fleet", "doctor", env=elsewhere)

    assert _lines(doctor, "web server", "announcement", "public port") == [
        f"ok    web server      this miner answers at ws://{ours.netloc}",
        (
            f"FAIL  announcement    {ours.hostname} port {ours.port} is announced, not"
            f" {theirs.hostname} port {theirs.port}"
        ),
        f"FAIL  public port     another miner answers at ws://{theirs.netloc}",
    ]


def test_doctor_tells_a_port_that_another_program_has(
    network: Network, state: NetworkState
) -> None:
    ours, taken = urlsplit(state.miners[0].url), urlsplit(state.facilitator.url)
    elsewhere = {
        "BITTENSOR_MINER_ADDRESS": str(taken.hostname),
        "BITTENSOR_MINER_PORT": str(taken.port),
        "ADDRESS_FOR_EXECUTORS": "127.9.9.9",
    }
    doctor = _start(network, "miner-1-fleet", "doctor", env=elsewhere)

    assert _lines(doctor, "web server", "public port") == [
        (
            f"FAIL  web server      nobody answers at ws://127.9.9.9:{ours.port}: All connection"
            " attempts failed"
        ),
        f"FAIL  public port     a program that is no miner answers at ws://{taken.netloc}",
    ]


def test_doctor_only_warns_where_a_router_may_be_the_reason(
    network: Network, state: NetworkState
) -> None:
    ours = urlsplit(state.miners[0].url)
    doctor = _start(
        network, "miner-1-fleet", "doctor", env={"BITTENSOR_MINER_ADDRESS": "127.9.9.9"}
    )

    assert _lines(doctor, "public port") == [
        (
            f"warn  public port     nobody answers at ws://127.9.9.9:{ours.port}: All connection"
            " attempts failed; from outside it may, where a router does not lead machines behind it"
            " to its own address (hairpin NAT)"
        )
    ]


def _guests(miner: ServiceInfo) -> list[int]:
    """For how many seconds more each guest is let in."""
    with Redis.from_url(miner.redis_url) as redis:
        return [redis.ttl(key) for key in redis.scan_iter("miner.guest.*")]


def _rows(miner: ServiceInfo) -> tuple[list[str], list[tuple[bool | None, str]]]:
    """Whom a miner serves, and what its receipts of nobody's jobs say."""
    with psycopg.connect(miner.database_url) as connection:
        served = connection.execute("SELECT hotkey FROM miner_validator ORDER BY hotkey")
        receipts = connection.execute(
            "SELECT is_organic, receipt_type FROM common_storedreceipt"
            " WHERE is_organic IS FALSE ORDER BY id"
        )
        return [row[0] for row in served], list(receipts)


def _without_times(text: str) -> list[str]:
    return [line.rpartition("s  ")[2] for line in text.splitlines()]


WELL = ["connection", "offer", "executor", "inputs", "execution", "result"]


@pytest.mark.parametrize("kind", ["miner", "trusted-miner"])
def test_two_self_tests_at_once_go_well_and_leave_nobody_behind(
    network: Network, state: NetworkState, kind: str
) -> None:
    miner = {"miner": state.miners, "trusted-miner": state.trusted_miners}[kind][0]
    served, _ = _rows(miner)
    both = [
        _self_test(network, state, f"{kind}-1-fleet", "--executor-class", "always_on.test")
        for _ in range(2)
    ]

    for status, out, error in map(_ended, both):
        end = "The self-test went well: a job of always_on.test ran."
        assert (status, _without_times(out), error) == (0, [*WELL, end], "")
    assert _guests(miner) == []
    kept = {"miner": [(False, "JobStartedReceipt")] * 2, "trusted-miner": []}[kind]
    assert _rows(miner) == (served, kept)


def test_a_self_test_finds_out_that_it_has_dialled_another_miner(
    network: Network, state: NetworkState
) -> None:
    url = f"ws://{urlsplit(state.miners[1].url).netloc}"

    status, out, error = _ended(_self_test(network, state, "miner-1-fleet", "--url", url))

    assert (status, out) == (1, "")
    assert error.startswith(
        f"CommandError: The self-test failed. connection: another miner answers at {url}: "
    )


async def test_a_self_test_of_a_busy_miner_says_so(
    network: Network, state: NetworkState, client: ComputeHordeClient, spec: SpecMaker
) -> None:
    long = spec("sleep", "20", executor_class=ExecutorClass.always_on__llm__a6000)
    job = await client.create_job(long, on_trusted_miner=True)
    while job.status.value not in {"accepted", "executor_ready", "volumes_ready"}:
        await job.refresh_from_facilitator()

    process = _self_test(network, state, "trusted-miner-1-fleet", "--executor-class", SINGLE)

    assert _ended(process)[2] == (
        "CommandError: The self-test failed. offer: declined, busy: no executor of this class is"
        " free. Try again when a job has ended\n"
    )
    await client.cancel_job(job.uuid)
    await job.wait(timeout=SECONDS)


@pytest.fixture
def drained(network: Network) -> Iterator[str]:
    assert _ended(_start(network, "miner-2-fleet", "drain", "--wait", "30"))[0] == 0
    yield "miner-2-fleet"
    assert _ended(_start(network, "miner-2-fleet", "drain", "--end"))[0] == 0


def test_a_drained_miner_is_told_by_doctor_and_by_its_self_test(
    network: Network, state: NetworkState, drained: str
) -> None:
    self_test, doctor = _self_test(network, state, drained), _start(network, drained, "doctor")

    assert _ended(self_test) == (
        1,
        "",
        "CommandError: This miner takes no new jobs: `drain --end` lets it.\n",
    )
    assert _lines(doctor, "serving", "announcement") == [
        "warn  serving         takes no new work: drain",
        "warn  announcement    not compared while no new work is taken",
    ]


def test_a_self_test_that_is_killed_lets_its_key_in_for_a_minute_at_most(
    network: Network, state: NetworkState
) -> None:
    miner = state.miners[1]
    served, _ = _rows(miner)
    process = _self_test(network, state, "miner-2-fleet", "--executor-class", SINGLE)
    assert process.stdout is not None
    assert process.stdout.readline().endswith("connection\n")

    os.kill(process.pid, 9)
    process.communicate()

    assert all(0 < seconds <= 60 for seconds in _guests(miner))
    assert len(_guests(miner)) == 1
    assert _rows(miner)[0] == served

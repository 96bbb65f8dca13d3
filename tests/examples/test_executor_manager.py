"""The example of an executor manager keeps the contract, and runs a network's jobs."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from importlib.metadata import EntryPoint, distributions
from pathlib import Path

import pytest
from docker_hosts.manager import DockerHosts, Host, Place, from_environment, places

from compute_horde_common.containers.docker import DockerEngine
from compute_horde_common.containers.interface import ContainerSpec, Limits, Mount
from compute_horde_common.containers.labels import OWNER_LABEL, TOKEN_LABEL, job_folder_name
from compute_horde_devnet.network import Network
from compute_horde_sdk.v1 import ComputeHordeClient, ComputeHordeJobStatus
from miner.fleet.interface import ENTRY_POINTS, FleetError, Running, Setting
from tests.conftest import SpecMaker
from tests.examples.conftest import STAYING

pytestmark = pytest.mark.timeout(300)

OWNER = f"tests-{os.getpid()}"
FIRST, SECOND = "127.0.0.1", "127.0.0.2"
TOKENS = [f"token-{os.getpid()}-{number}" for number in range(3)]
CLASS = "always_on.test"
LIMITS = Limits(memory_bytes=1 << 26, cpus=1)

Engines = tuple[DockerEngine, DockerEngine]


@pytest.fixture
def hosts(engines: Engines, tmp_path: Path) -> tuple[Host, Host]:
    """Room for one executor on the first, and for two on the second."""
    setting = Setting(OWNER, engines[0], STAYING, "none", tmp_path, None)
    return (
        Host(Place(FIRST, "", 1), engines[0], setting),
        Host(Place(SECOND, "", 2), engines[1], setting),
    )


@pytest.fixture
async def manager(hosts: tuple[Host, Host]) -> AsyncIterator[DockerHosts]:
    manager = DockerHosts(hosts)
    yield manager
    for running in await manager.owned():
        await manager.stop(running.handle)
        await manager.cleanup(running.token)


async def start_all(manager: DockerHosts) -> list[str]:
    return [await manager.start(token, CLASS, {"EXECUTOR_TOKEN": token}) for token in TOKENS]


async def test_executors_are_spread_over_the_hosts_by_their_room(manager: DockerHosts) -> None:
    handles = await start_all(manager)

    addresses = [await manager.public_address(handle) for handle in handles]
    assert addresses == [SECOND, FIRST, SECOND]


async def test_hosts_that_are_full_get_no_more_executors(manager: DockerHosts) -> None:
    await start_all(manager)

    with pytest.raises(FleetError, match="no host that answers has room"):
        await manager.start("one-too-many", CLASS, {})


async def test_an_executor_runs_until_it_is_stopped(manager: DockerHosts) -> None:
    first, second, third = await start_all(manager)

    await manager.stop(second)

    states = [await manager.alive(handle) for handle in (first, second, third)]
    assert states == [True, False, True]


async def test_another_manager_finds_the_executors_again(
    manager: DockerHosts, hosts: tuple[Host, Host]
) -> None:
    handles = await start_all(manager)
    another = DockerHosts(replace(host, tokens=set()) for host in hosts)

    found = await another.owned()

    assert {*found} == {Running(*pair) for pair in zip(handles, TOKENS, strict=True)}
    with pytest.raises(FleetError, match="no host that answers has room"):
        await another.start("one-too-many", CLASS, {})


async def test_what_an_executor_left_is_removed_from_its_host(
    manager: DockerHosts, engines: Engines, tmp_path: Path
) -> None:
    token, labels = TOKENS[0], {OWNER_LABEL: OWNER, TOKEN_LABEL: TOKENS[0]}
    handle = await manager.start(token, CLASS, {})
    await leave_behind(engines[1], tmp_path, token)

    await manager.stop(handle)
    await manager.cleanup(token)

    assert await engines[1].owned(labels) == []
    assert await engines[1].owned_networks(labels) == []
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - not blocking


async def leave_behind(engine: DockerEngine, work: Path, token: str) -> None:
    """A job's container, network and folder; the folder is another user's."""
    labels = {OWNER_LABEL: OWNER, TOKEN_LABEL: token}
    await engine.create_network(f"ch-{token}", labels)
    script = f"mkdir -p {work}/{job_folder_name(token)}/a && chown -R 1234 {work}/*"
    job = await engine.create(
        ContainerSpec(
            image=STAYING,
            name=f"ch-{token}-job",
            command=("sh", "-c", script),
            limits=LIMITS,
            labels=labels,
            mounts=(Mount(str(work), str(work)),),
            capabilities=("CHOWN",),
        )
    )
    await engine.start(job)
    assert (await engine.wait(job)).code == 0


async def test_a_sweep_spares_those_that_are_known(manager: DockerHosts, engines: Engines) -> None:
    for engine, token in zip(engines, TOKENS, strict=False):
        labels = {OWNER_LABEL: OWNER, TOKEN_LABEL: token}
        await engine.create(
            ContainerSpec(image=STAYING, name=f"ch-{token}-job", limits=LIMITS, labels=labels)
        )

    removed = [await manager.sweep(frozenset(TOKENS[:1])), await manager.sweep(frozenset())]

    assert removed == [1, 1]


async def test_a_missing_image_is_an_error_of_the_fleet(hosts: tuple[Host, Host]) -> None:
    missing = replace(hosts[0].setting, image="127.0.0.1:9/no-such-image:1")
    manager = DockerHosts([Host(hosts[0].place, hosts[0].engine, missing)])

    with pytest.raises(FleetError, match=r"127.0.0.1 does not get 127.0.0.1:9/no-such-image:1"):
        await manager.start(TOKENS[0], CLASS, {})


async def test_a_host_that_does_not_answer_gets_no_executors_and_loses_none(
    hosts: tuple[Host, Host], tmp_path: Path
) -> None:
    async with DockerEngine(f"unix://{tmp_path}/nobody") as nobody:
        silent = Host(Place("127.0.0.3", "", 9), nobody, hosts[0].setting)
        manager = DockerHosts([silent, hosts[0]])

        handle = await manager.start(TOKENS[0], CLASS, {})

        assert await manager.public_address(handle) == FIRST
        assert await manager.alive("127.0.0.3 an-executor")
        assert await manager.owned() == [Running(handle, TOKENS[0])]
        assert await manager.sweep(frozenset()) == 0
        await manager.stop(handle)
        await manager.cleanup(TOKENS[0])


async def test_an_executor_of_a_host_that_is_not_named_any_more_is_gone(
    manager: DockerHosts,
) -> None:
    assert not await manager.alive("127.0.0.3 an-executor")
    with pytest.raises(FleetError, match=r"DOCKER_HOSTS does not name 127\.0\.0\.3"):
        await manager.stop("127.0.0.3 an-executor")


def test_hosts_are_read_from_a_variable() -> None:
    found = places("203.0.113.5=unix:///run/gpu-1.sock=1, 203.0.113.6=tcp://10.8.0.6:2375=2,")

    assert found == [
        Place("203.0.113.5", "unix:///run/gpu-1.sock", 1),
        Place("203.0.113.6", "tcp://10.8.0.6:2375", 2),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected at least one host"),
        ("10.0.0.1=unix:///a=1,10.0.0.1=unix:///b=1", "each only once"),
        ("10.0.0.1=unix:///a", "is not ADDRESS=DOCKER=EXECUTORS"),
        ("10.0.0.1=unix:///a=0", "is not ADDRESS=DOCKER=EXECUTORS"),
        ("gpu-1=unix:///a=1", "'gpu-1' does not appear to be an IPv4 or IPv6 address"),
        ("10.0.0.1=ssh://gpu-1=1", "is neither unix:///path nor tcp://host:port"),
    ],
)
def test_a_wrong_variable_is_said_to_be_wrong(
    text: str, said: str, monkeypatch: pytest.MonkeyPatch, hosts: tuple[Host, Host]
) -> None:
    monkeypatch.setenv("DOCKER_HOSTS", text)

    with pytest.raises(FleetError, match=f"DOCKER_HOSTS: .*{said}"):
        from_environment(hosts[0].setting)


def test_the_package_has_the_entry_point_that_miners_look_for(installed: Path) -> None:
    (found,) = distributions(name="docker-hosts", path=[str(installed)])

    assert [*found.entry_points] == [
        EntryPoint("docker_hosts", "docker_hosts.manager:from_environment", ENTRY_POINTS)
    ]


async def test_jobs_of_a_network_run_on_all_hosts_of_its_miner(
    network: Network, client: ComputeHordeClient, spec: SpecMaker, second_host: str
) -> None:
    assert network.state is not None
    folder = second_host.removeprefix("unix://").removesuffix("/run/docker.sock")
    # Its root's mount names the folder of the daemon that runs it.
    script = f"sleep 2; grep -q {folder}/ /proc/self/mountinfo && echo second || echo first"

    jobs = [await client.create_job(spec("sh", "-c", script)) for _ in range(2)]
    await asyncio.gather(*(job.wait(timeout=90) for job in jobs))

    said = sorted((job.status, job.result and job.result.stdout) for job in jobs)
    assert said == [
        (ComputeHordeJobStatus.COMPLETED, "first\n"),
        (ComputeHordeJobStatus.COMPLETED, "second\n"),
    ]

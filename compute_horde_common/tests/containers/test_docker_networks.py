"""What `Networks` promises, and what an engine says of itself, kept by a real Docker daemon."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from compute_horde_common.containers.docker import DockerEngine
from compute_horde_common.containers.docker_answers import field
from compute_horde_common.containers.interface import (
    MIB,
    EngineError,
    Exit,
    NameTaken,
    NoSuchContainer,
)
from tests.containers.shells import OWNER, PATIENCE, shell

LISTENING = "nc -l -p 8080 -e /bin/cat"
TRY_THE_HOST = """
gateway=$(ip route | sed -n 's/default via \\([^ ]*\\).*/\\1/p')
for host in ${gateway:-172.17.0.1} 172.17.0.1 127.0.0.1 169.254.169.254 1.1.1.1
do nc -w 1 $host PORT </dev/null 2>/dev/null && echo reached $host &
done
wait
echo $(ip -6 addr show dev eth0 | grep -c inet6) inet6
echo over
"""


@pytest.fixture
async def engine(engine: DockerEngine) -> AsyncIterator[DockerEngine]:
    async with AsyncExitStack() as cleanup:
        yield engine
        for left in await engine.owned_networks(OWNER):
            cleanup.push_async_callback(engine.remove_network, left.id)


@pytest.fixture
async def network(engine: DockerEngine) -> str:
    name = f"contract-{uuid4().hex}"
    await engine.create_network(name, OWNER)
    return name


async def started(engine: DockerEngine, script: str, network: str = "none") -> str:
    container = await engine.create(replace(shell(script), network=network))
    await engine.start(container)
    return container


async def output(engine: DockerEngine, container: str) -> str:
    async with asyncio.timeout(PATIENCE):
        await engine.wait(container)
        return (await engine.logs(container, head_bytes=10_000, tail_bytes=0)).stdout


async def test_containers_of_a_network_reach_one_another(
    engine: DockerEngine, network: str
) -> None:
    server = await started(engine, LISTENING, network)
    address = await engine.address(server, network)

    client = await started(
        engine, f"until echo hello | nc {address} 8080; do usleep 10000; done", network
    )

    assert await output(engine, client) == "hello\n"


async def test_a_network_leads_neither_to_the_host_nor_beyond(
    engine: DockerEngine, network: str
) -> None:
    heard: list[str] = []

    async def hear(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append("somebody came in")
        writer.close()

    async with await asyncio.start_server(hear, "0.0.0.0", 0) as server:
        port = server.sockets[0].getsockname()[1]
        container = await started(engine, TRY_THE_HOST.replace("PORT", str(port)), network)
        said = await output(engine, container)

    assert heard == []
    assert said == "0 inet6\nover\n"


async def test_docker_itself_lets_nothing_out_of_a_network(
    engine: DockerEngine, network: str
) -> None:
    reply = await engine._api.call("GET", f"/networks/{network}")

    assert field(reply.json, "Internal") is True
    assert field(reply.json, "EnableIPv6") is False


async def test_the_host_has_no_address_in_a_network(engine: DockerEngine, network: str) -> None:
    container = await started(engine, "sleep 100", network)
    subnet = ".".join((await engine.address(container, network)).split(".")[:3])

    addresses = await asyncio.to_thread(Path("/proc/net/fib_trie").read_text)

    assert f"{subnet}." not in addresses


async def test_a_container_can_take_part_in_one_more_network(
    engine: DockerEngine, network: str
) -> None:
    other = f"contract-{uuid4().hex}"
    await engine.create_network(other, OWNER)
    container = await started(engine, "sleep 100", network)

    await engine.connect(other, container)

    first, second = await engine.address(container, network), await engine.address(container, other)
    assert first
    assert second
    assert first != second


async def test_networks_are_found_by_their_labels(engine: DockerEngine, network: str) -> None:
    labels = {**OWNER, "job": uuid4().hex}
    name = f"contract-{uuid4().hex}"
    made = await engine.create_network(name, labels)

    (found,) = await engine.owned_networks(labels)

    assert (found.id, found.name, found.labels) == (made, name, labels)
    assert found.created.tzinfo is not None


async def test_a_network_s_name_is_given_once(engine: DockerEngine, network: str) -> None:
    with pytest.raises(NameTaken):
        await engine.create_network(network, OWNER)


async def test_a_network_goes_with_containers_still_in_it(
    engine: DockerEngine, network: str
) -> None:
    container = await started(engine, "sleep 100", network)

    await engine.remove_network(network)
    await engine.remove_network(network)

    assert await engine.owned_networks(OWNER) == []
    with pytest.raises(EngineError, match="no address"):
        await engine.address(container, network)


async def test_a_running_container_has_a_network_namespace(engine: DockerEngine) -> None:
    container = await started(engine, "sleep 100")

    assert (await engine.network_namespace(container)).startswith("/")


async def test_a_container_that_does_not_run_has_none(engine: DockerEngine) -> None:
    container = await engine.create(shell("true"))

    with pytest.raises(EngineError, match="does not run"):
        await engine.network_namespace(container)


async def test_a_port_is_published_within_its_range(engine: DockerEngine) -> None:
    spec = replace(shell(LISTENING), network="bridge", ports={8080: "26000-26999"})
    container = await engine.create(spec)
    await engine.start(container)

    found = await engine.published_port(container, 8080)

    assert found is not None
    assert found[0] == "0.0.0.0"
    assert 26000 <= found[1] <= 26999
    assert await engine.published_port(container, 9090) is None


async def test_the_space_outside_mounts_is_counted(engine: DockerEngine) -> None:
    container = await started(engine, "dd if=/dev/zero of=/big bs=1M count=3")

    assert await engine.wait(container) == Exit(0, oom_killed=False)

    assert await engine.space_used(container) >= 3 * MIB


async def test_a_container_that_wrote_nothing_uses_no_space(engine: DockerEngine) -> None:
    assert await engine.space_used(await engine.create(shell("true"))) == 0


async def test_space_of_a_container_that_is_gone_is_an_error(engine: DockerEngine) -> None:
    with pytest.raises(NoSuchContainer):
        await engine.space_used("no-such-container")


async def test_an_engine_says_what_it_is(engine: DockerEngine) -> None:
    info = await engine.info()

    assert int(info.version.split(".")[0]) >= 20
    assert (
        info.kernel
        == (await asyncio.to_thread(Path("/proc/sys/kernel/osrelease").read_text)).strip()
    )
    assert info.cgroup_version in {"1", "2"}
    assert "runc" in info.runtimes
    assert "name=seccomp,profile=default" in info.security_options
    assert info.operating_system == "linux"
    assert info.storage_driver
    assert info.architecture


@pytest.mark.parametrize("name", ["", "../containers/json", "a/b", "a?b"])
async def test_odd_network_names_never_reach_the_daemon(name: str) -> None:
    async with DockerEngine("unix:///no/such/socket") as engine:
        with pytest.raises(EngineError, match="not the name of a network"):
            await engine.remove_network(name)

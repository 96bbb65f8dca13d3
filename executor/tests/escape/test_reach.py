"""A job reaches nobody: not its host, not another job, not the metadata of a cloud, not the world.

The host listens, so that what fails would have been heard.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import psutil
import pytest

from tests.escape.attacker import Attacker
from tests.escape.attacks import reach

METADATA = ("169.254.169.254", "169.254.170.2", "100.100.100.200", "fd00:ec2::254")
WORLD = ("1.1.1.1", "8.8.8.8", "2606:4700:4700::1111")
# Which of both depends on whether the kernel was built with IPv6.
UNREACHABLE = {"ENETUNREACH", "EADDRNOTAVAIL", "EAFNOSUPPORT"}


@dataclass
class Listener:
    """A port of the host, open on all of its addresses; counts who came."""

    port: int = 0
    callers: list[str] = field(default_factory=list)

    async def hear(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.callers.append(str(writer.get_extra_info("peername")))
        writer.close()

    @property
    def hosts(self) -> list[str]:
        """Where it can be reached, but for the loopback that a job has one of its own of."""
        found = [item for items in psutil.net_if_addrs().values() for item in items]
        addresses = [item.address for item in found if item.family == socket.AF_INET]
        return [address for address in addresses if not address.startswith("127.")]


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    listener = Listener()
    async with await asyncio.start_server(listener.hear, "0.0.0.0", 0) as server:
        listener.port = server.sockets[0].getsockname()[1]
        yield listener


async def reached(attacker: Attacker, *arguments: str) -> dict[str, str]:
    answer = json.loads(await attacker.said(reach, *arguments))
    assert isinstance(answer, dict)
    return answer


async def test_there_is_no_interface_but_loopback(attacker: Attacker) -> None:
    assert json.loads(await attacker.said(reach, "interfaces")) == ["lo"]


async def test_there_is_no_route_to_anywhere(attacker: Attacker) -> None:
    assert json.loads(await attacker.said(reach, "routes")) == []


async def test_the_host_is_not_reached_at_any_of_its_addresses(
    attacker: Attacker, listener: Listener
) -> None:
    answers = await reached(attacker, "connect", str(listener.port), *listener.hosts)

    assert answers == dict.fromkeys(listener.hosts, "ENETUNREACH")
    assert (len(answers) > 0, listener.callers) == (True, [])


async def test_loopback_is_the_jobs_own(attacker: Attacker, listener: Listener) -> None:
    answers = await reached(attacker, "connect", str(listener.port), "127.0.0.1")

    assert (answers, listener.callers) == ({"127.0.0.1": "ECONNREFUSED"}, [])


@pytest.mark.parametrize("hosts", [METADATA, WORLD], ids=["metadata", "world"])
async def test_nobody_outside_is_reached(attacker: Attacker, hosts: tuple[str, ...]) -> None:
    answers = await reached(attacker, "connect", "80", *hosts)

    assert (list(answers), set(answers.values()) - UNREACHABLE) == (list(hosts), set())


async def test_nothing_is_sent_to_anybody(attacker: Attacker) -> None:
    answers = await reached(attacker, "send", "53", *METADATA, *WORLD, "255.255.255.255")

    assert (len(answers), set(answers.values()) - UNREACHABLE) == (8, set())


async def test_no_name_is_resolved(attacker: Attacker) -> None:
    names = ("example.com", "metadata.google.internal", "host.docker.internal")

    answers = await reached(attacker, "resolve", *names)

    assert answers == dict.fromkeys(names, reach.NOT_RESOLVED)


async def test_no_packet_is_forged_or_overheard(attacker: Attacker) -> None:
    answers = await reached(attacker, "raw")

    assert (len(answers), set(answers.values())) == (6, {"EPERM"})


async def test_no_interface_can_be_made(attacker: Attacker) -> None:
    assert json.loads(await attacker.said(reach, "new_interface")) == "EPERM"


async def test_the_virtual_machines_own_line_leads_to_nobody_here(attacker: Attacker) -> None:
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as listening:
        listening.bind((socket.VMADDR_CID_ANY, socket.VMADDR_PORT_ANY))
        listening.listen()
        listening.setblocking(False)

        answer = json.loads(await attacker.said(reach, "whisper", str(listening.getsockname()[1])))

        assert answer != "done"
        with pytest.raises(BlockingIOError):
            listening.accept()

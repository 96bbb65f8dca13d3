"""Whom a job can reach over a network. Runs inside the job; prints JSON."""

import errno
import json
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path

SECONDS = 1
# How a refusal is told where there is no errno, in names of our own.
NOT_RESOLVED = "NOT RESOLVED"


def tried(attempt: Callable[..., object], *arguments: object) -> str:
    try:
        attempt(*arguments)
    except socket.gaierror:
        return NOT_RESOLVED
    except TimeoutError:
        return "TIMED OUT"
    except OSError as refusal:
        return errno.errorcode[refusal.errno or 0]
    return "done"


def interfaces() -> list[str]:
    return sorted(name for _, name in socket.if_nameindex())


def routes() -> list[str]:
    """Where the kernel would send a packet to, but for this container itself."""
    fourth = Path("/proc/net/route").read_text().splitlines()[1:]
    sixth = Path("/proc/net/ipv6_route")
    lines = sixth.read_text().splitlines() if sixth.exists() else []
    return [*fourth, *(line for line in lines if line.split()[-1] != "lo")]


def connect(port: str, *hosts: str) -> dict[str, str]:
    return {host: tried(connected, host, int(port)) for host in hosts}


def connected(host: str, port: int) -> None:
    socket.create_connection((host, port), SECONDS).close()


def send(port: str, *hosts: str) -> dict[str, str]:
    return {host: tried(sent, host, int(port)) for host in hosts}


def sent(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"escaped", (host, port))


def resolve(*names: str) -> dict[str, str]:
    return {name: tried(socket.getaddrinfo, name, 80) for name in names}


def raw() -> dict[str, str]:
    wanted = {
        "every packet": (socket.AF_PACKET, socket.SOCK_RAW, 3),
        "packets of one kind": (socket.AF_PACKET, socket.SOCK_DGRAM, 0x0800),
        "ping": (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
        "forged TCP": (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP),
        "forged IP": (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW),
        "forged IPv6": (socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW),
    }
    return {name: tried(socket.socket, *kind) for name, kind in wanted.items()}


def new_interface() -> str:
    """Asks for a network card of a kind that needs no other: RTM_NEWLINK, "dummy"."""
    kind = struct.pack("HH6s2x", 10, 1, b"dummy\0")
    link = struct.pack("HH", 4 + len(kind), 18) + kind
    body = struct.pack("BxHiII", 0, 0, 0, 0, 0) + link
    head = struct.pack("IHHII", 16 + len(body), 16, 0x0605, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
        kernel.send(head + body)
        return errno.errorcode.get(-struct.unpack_from("i", kernel.recv(4096), 16)[0], "done")


def whisper(port: str) -> str:
    """A vsock belongs to the machine and to no network: whoever listens on it, from here."""
    return tried(whispered, int(port))


def whispered(port: int) -> None:
    this_machine = 1
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as whisperer:
        whisperer.settimeout(SECONDS)
        whisperer.connect((this_machine, port))


if __name__ == "__main__":
    try_it: Callable[..., object] = globals()[sys.argv[1]]
    print(json.dumps(try_it(*sys.argv[2:])))  # noqa: T201 - the job's answer

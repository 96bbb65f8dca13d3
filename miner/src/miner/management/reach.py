"""Whether this miner is reached: by its executors, and by validators from outside, as well as that
can be told from inside."""

import json
from typing import Final

from compute_horde_common.chain.interface import Address, Neuron
from compute_horde_common.clock import Clock
from compute_horde_common.contrib.django.doctor.findings import Finding, fail, ok, warn
from compute_horde_common.contrib.django.doctor.web import NoAnswer, ask, web_address
from compute_horde_common.links.link import LinkError
from miner.management.guest import Stranger, visit

OPEN_PORT: Final = (
    "Open TCP port {port} to everybody, in the firewall of this machine and of its provider; behind"
    " a router, forward it to this machine. In Docker Compose, BITTENSOR_MINER_PORT in .env is the"
    " port, and `docker compose up --detach miner-nginx` opens it."
)
PORT_TAKEN: Final = (
    "Another program has port {port}: see `sudo ss -ltnp 'sport = :{port}'`. Stop it, or choose"
    " another BITTENSOR_MINER_PORT in .env and run `docker compose up --detach`."
)


async def web_server_answers(url: str, clock: Clock) -> Finding:
    """Whether executors, which dial ``url``, reach this miner."""
    advice = (
        "Executors dial ADDRESS_FOR_EXECUTORS and PORT_FOR_EXECUTORS; this miner's web server must"
        " answer there. In Docker Compose: `docker compose up --detach miner-app`; see its logs."
    )
    fault = await _fault(url, clock)
    return ok(f"this miner answers at {url}") if fault is None else fail(str(fault), advice)


async def validators_reach_us(public: Address | None, inside: str, clock: Clock) -> Finding:
    """Whether this miner answers at its public address.

    Args:
        public: where validators dial; None if that is not known.
        inside: the address that executors dial.
        clock: the time.
    """
    if public is None:
        return warn(
            "not looked at, as the public address is not known",
            "It is known once it is announced; or set BITTENSOR_MINER_ADDRESS in .env.",
        )
    host = f"[{public.host}]" if ":" in public.host else public.host
    url = f"ws://{host}:{public.port}"
    fault = await _fault(url, clock)
    if fault is None:
        return ok(f"this miner answers at {url}")
    if isinstance(fault, Nobody):
        return await _unreached(fault, public, inside, clock)
    if isinstance(fault, NoWebsocket):
        return fail(str(fault), "A proxy in front of it must pass on websockets (Upgrade header).")
    return fail(str(fault), PORT_TAKEN.format(port=public.port))


async def _unreached(nobody: "Nobody", public: Address, inside: str, clock: Clock) -> Finding:
    advice = OPEN_PORT.format(port=public.port)
    if await _fault(inside, clock) is not None:
        return fail(f"{nobody}; neither does it at {inside}", advice)
    return warn(
        f"{nobody}; from outside it may, where a router does not lead machines behind it to its"
        " own address (hairpin NAT)",
        f"Try `curl http://{public.host}:{public.port}/version` on a machine elsewhere. {advice}",
    )


class Fault(Exception):
    """What keeps us from finding this miner at an address."""


class Nobody(Fault):
    """Nothing answers there."""


class SomebodyElse(Fault):
    """Another program, or another miner."""


class NoWebsocket(Fault):
    """This program, and no websocket."""


async def _fault(url: str, clock: Clock) -> Fault | None:
    try:
        answer = await ask(web_address(url, "/version"))
    except NoAnswer as error:
        return Nobody(f"nobody answers at {url}: {error}")
    if not _is_miner(answer.body):
        return SomebodyElse(f"a program that is no miner answers at {url}")
    try:
        async with visit(url, clock):
            return None
    except Stranger:
        return SomebodyElse(f"another miner answers at {url}")
    except LinkError as error:
        return NoWebsocket(f"a miner answers at {url}, but cannot be talked to: {error}")


def _is_miner(body: bytes) -> bool:
    try:
        said = json.loads(body)
    except ValueError:
        return False
    return isinstance(said, dict) and "miner_version" in said


async def announcement_is_right(neuron: Neuron, host: str | None, port: int) -> Finding:
    """Whether the chain has the address that is configured.

    Args:
        neuron: our place there.
        host: our public address; None if it is not known here.
        port: our public port.
    """
    advice = (
        "The worker announces it every minute; if this stays, see `docker compose logs"
        " miner-worker`. The chain takes a change only so often."
    )
    if neuron.axon is None or not neuron.axon.port:
        return warn("no address is announced yet", advice)
    said = f"{neuron.axon.host} port {neuron.axon.port}"
    wanted = Address(host or neuron.axon.host, port)
    if neuron.axon != wanted:
        return fail(f"{said} is announced, not {wanted.host} port {wanted.port}", advice)
    return ok(f"{said} is announced")

"""What a streaming job gets: a network that leads nowhere, and a door for the client it named.

On the host the job has only loopback, and we connect inside its own network namespace. An executor
in a container joins an internal network with the job, on which there is nobody else. Where neither
is possible the job fails; it never gets a more open network.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from compute_horde_common.clock import Clock
from compute_horde_common.containers.interface import ContainerEngine, ContainerSpec, EngineError
from compute_horde_common.containers.labels import JOB_LABEL, OWNER_LABEL, TOKEN_LABEL
from compute_horde_common.jobs.failures import (
    HordeFailure,
    HordeFailureReason,
    JobFailed,
    JobFailure,
    JobFailureReason,
    Participant,
    Stage,
)
from compute_horde_common.jobs.spec import StreamingDetails
from executor import wiring
from executor.config import ExecutorConfig
from executor.stages.run import ContainerLeft, undisturbed
from executor.streaming import namespace
from executor.streaming.namespace import NoEntry, entered
from executor.streaming.relay import Connect, Relay

JOB_PORT = 8000
HEALTH_SECONDS = 25
"""How long a job may take to answer ``/health`` with 200 (the live network's limit)."""

DRAIN_SECONDS = 2.0
"""How long the job's last answers may take to reach its client once the job has ended."""

NO_RESOLVER = "192.0.2.1"
"""Of the addresses that nobody has (RFC 5737). Docker before 26 asks the host's name servers even
for containers that nothing leads out of (CVE-2024-29018), unless they have one of their own."""

_TRY_SECONDS = 2.0
_PAUSE_SECONDS = 0.2
_BACKLOG = 128
_ANSWER_BYTES = 1024
_QUESTION = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where clients connect, and the certificate (PEM) that they are shown."""

    certificate: str
    port: int


@asynccontextmanager
async def network_for(
    engine: ContainerEngine, config: ExecutorConfig, job_uuid: str
) -> AsyncIterator[str]:
    """The network that a streaming job's container has to be made with; gone after the block.

    Raises:
        JobFailed: this executor has no safe way to reach a job.
    """
    if config.container is None:
        if config.runtime is not None:
            raise _failed(f"no streaming on the host with the container runtime {config.runtime}")
        yield "none"
        return
    name = f"ch-{config.token}"
    labels = {OWNER_LABEL: config.owner, TOKEN_LABEL: config.token, JOB_LABEL: job_uuid}
    creating = asyncio.ensure_future(engine.create_network(name, labels))
    try:
        await asyncio.shield(creating)
        await engine.connect(name, config.container)
        yield name
    finally:
        await undisturbed(_remove_network(engine, name, creating))


async def _remove_network(
    engine: ContainerEngine, name: str, creating: asyncio.Future[str]
) -> None:
    await asyncio.wait([creating])
    if creating.cancelled() or creating.exception() is not None:
        return
    try:
        await engine.remove_network(name)
    except EngineError as failure:
        raise ContainerLeft(f"Network {name} could not be removed: {failure}") from failure


def joined(spec: ContainerSpec, network: str) -> ContainerSpec:
    """The same container in a network of `network_for`."""
    dns = () if network == "none" else (NO_RESOLVER,)
    return replace(spec, network=network, dns=dns)


@asynccontextmanager
async def streaming(
    engine: ContainerEngine,
    container_id: str,
    network: str,
    details: StreamingDetails,
    config: ExecutorConfig,
    *,
    within: float,
    clock: Clock,
) -> AsyncIterator[Endpoint]:
    """Lets the client in, once the running job answers ``/health``, until the end of the block.

    Raises:
        JobFailed: the job did not get healthy within ``within`` seconds, its author's certificate
            is none, or this executor cannot reach it.
    """
    async with AsyncExitStack() as stack:
        address, connect = await _way_in(engine, container_id, network, stack)
        client, context, certificate = await asyncio.to_thread(_identify, details, clock.now())
        listener = stack.enter_context(_listener(config))
        stranger = None if network == "none" else address
        await _until_healthy(connect, min(within, HEALTH_SECONDS), clock)
        relay = Relay(listener, context, client, connect, stranger=stranger)
        stack.push_async_callback(_ended, asyncio.ensure_future(relay.serve()))
        yield Endpoint(certificate, await _public_port(engine, listener, config))
        await relay.drain(DRAIN_SECONDS)


async def _way_in(
    engine: ContainerEngine, container_id: str, network: str, stack: AsyncExitStack
) -> tuple[str, Connect]:
    """The job's address, and what opens a connection to its port."""
    if network != "none":
        address = await engine.address(container_id, network)
        return address, lambda: namespace.connect((address, JOB_PORT))
    path = await engine.network_namespace(container_id)
    try:
        inside = await stack.enter_async_context(entered(path))
    except NoEntry as refusal:
        raise _failed(
            "streaming needs an executor that runs as root, or in a container of its own"
            f" ({refusal})"
        ) from None
    return "127.0.0.1", lambda: inside.connect(("127.0.0.1", JOB_PORT))


def _identify(details: StreamingDetails, now: datetime) -> tuple[bytes, ssl.SSLContext, str]:
    """The client's certificate (DER), the TLS that lets it in, and our certificate (PEM)."""
    try:
        identity = wiring.new_identity(details.executor_ip, now)
    except ValueError as fault:
        raise _failed(f"{details.executor_ip!r} is no address for a certificate: {fault}") from None
    try:
        client, context = wiring.client_context(identity, details.public_key)
    except (ValueError, ssl.SSLError) as fault:
        raise JobFailed(
            JobFailure(
                reason=JobFailureReason.UNKNOWN,
                stage=Stage.STREAMING_STARTUP,
                message="The public key of the streaming job's client is no PEM certificate that"
                f" can be used: {str(fault)[:200]}",
            )
        ) from None
    return client, context, identity.certificate


def _listener(config: ExecutorConfig) -> socket.socket:
    """On the first free port of the operator's."""
    first, last = config.streaming_ports
    for port in range(first, last + 1):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setblocking(False)
        try:
            listener.bind(("0.0.0.0", port))
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            continue
        return listener
    raise _failed(f"none of the ports {first} to {last} is free on this host")


async def _public_port(
    engine: ContainerEngine, listener: socket.socket, config: ExecutorConfig
) -> int:
    port: int = listener.getsockname()[1]
    if config.container is None:
        return port
    published = await engine.published_port(config.container, port)
    if published is None:
        raise _failed(f"port {port} of the executor's container is not published")
    return published[1]


async def _until_healthy(connect: Connect, within: float, clock: Clock) -> None:
    try:
        async with clock.timeout(within):
            while not await _is_healthy(connect):
                await clock.sleep_until(clock.now() + timedelta(seconds=_PAUSE_SECONDS))
    except TimeoutError:
        raise JobFailed(
            JobFailure(
                reason=JobFailureReason.TIMEOUT,
                stage=Stage.STREAMING_STARTUP,
                message=f"GET /health on port {JOB_PORT} of the job was not answered with 200"
                f" within {within:.0f} s",
            )
        ) from None


async def _is_healthy(connect: Connect) -> bool:
    try:
        async with asyncio.timeout(_TRY_SECONDS):
            reader, writer = await asyncio.open_connection(sock=await connect())
            try:
                writer.write(_QUESTION)
                answer = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        return False
    return answer[:_ANSWER_BYTES].split()[1:2] == [b"200"]


async def _ended(relay: asyncio.Future[None]) -> None:
    relay.cancel()
    with suppress(asyncio.CancelledError):
        await relay


def _failed(why: str) -> JobFailed:
    return JobFailed(
        HordeFailure(
            reported_by=Participant.EXECUTOR,
            reason=HordeFailureReason.STREAMING_FAILED,
            message=f"The job cannot stream here: {why}",
            context={"stage": Stage.STREAMING_STARTUP},
        )
    )

"""What the miner does from time to time. Every task may fail or run twice without harm."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from ipaddress import ip_address
from typing import Final

import httpcore
import structlog
from celery import shared_task

from compute_horde_common.chain.interface import Address, Chain, ChainError, chain_validators
from compute_horde_common.contrib.django import serving
from compute_horde_common.contrib.django.celery import at_start
from compute_horde_common.contrib.django.db import in_database
from miner.config import config
from miner.services import executors, jobs, receipts, subnet
from miner.wiring import chain, clock, remember_announced

log = structlog.get_logger(__name__)

ECHO_SERVICES: Final = ("https://checkip.amazonaws.com", "https://ipv4.icanhazip.com")
"""Each answers a request with the address that it came from."""
ECHO_SECONDS: Final = 5.0
_LONGEST_ADDRESS: Final = 64
_TIMEOUT: Final = dict.fromkeys(("connect", "read", "write", "pool"), ECHO_SECONDS)
_HTTP_ERRORS: Final = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException)


class AddressUnknown(RuntimeError):
    """Nobody could tell under which address this miner is reached."""

    def __init__(self) -> None:
        super().__init__(
            f"none of {', '.join(ECHO_SERVICES)} told our public address;"
            " set BITTENSOR_MINER_ADDRESS"
        )


@at_start
@shared_task
def sync_validators() -> None:
    """Reads from the chain whom to serve."""
    try:
        hotkeys = asyncio.run(_validators())
    except ChainError as error:
        log.warning("validators not read from chain", error=str(error))
        return
    log.info("validators read from chain", served=subnet.store_validators(hotkeys))


async def _validators() -> list[str]:
    async with aclosing(chain()) as connection:
        metagraph = await connection.metagraph()
    found = chain_validators(
        metagraph,
        minimum_stake=config.validator_minimum_stake,
        limit=config.validator_limit,
        always=config.always_served_validators,
    )
    return [neuron.hotkey for neuron in found]


@at_start
@shared_task
def announce_address() -> None:
    """Tells the chain where this miner is, if the chain does not know."""
    try:
        changed = asyncio.run(announce(_public_address, chain))
    except (ChainError, AddressUnknown) as error:
        log.warning("address not announced", error=str(error))
        return
    if changed:
        log.info("address announced", port=config.bittensor_miner_port)


async def announce(
    find_address: Callable[[], Awaitable[str]], open_chain: Callable[[], Chain]
) -> bool:
    """Whether the chain has learned from us where this miner is. While no new work is taken, it
    does not: another server may be there under our hotkey.

    Raises:
        ChainError: the chain does not take it.
        AddressUnknown: we do not know it ourselves.
    """
    if not await in_database(serving.is_serving)():
        return False
    host = await find_address()
    await asyncio.to_thread(remember_announced, host)
    async with aclosing(open_chain()) as connection:
        return await connection.publish_axon(Address(host, config.bittensor_miner_port))


async def _public_address() -> str:
    if config.bittensor_miner_address != "auto":
        return config.bittensor_miner_address
    async with httpcore.AsyncConnectionPool() as http:
        for service in ECHO_SERVICES:
            try:
                answer = await http.request("GET", service, extensions={"timeout": _TIMEOUT})
                found = ip_address(answer.content[:_LONGEST_ADDRESS].decode().strip())
            except (*_HTTP_ERRORS, ValueError) as error:
                log.info("public address not told", service=service, error=str(error))
                continue
            if found.is_global:
                return str(found)
    raise AddressUnknown


@shared_task
def forget_old_data() -> None:
    """Deletes what nobody asks for any more."""
    now = clock().now()
    log.info(
        "old data forgotten",
        jobs=jobs.forget_old(now),
        executors=executors.forget_old(now),
        receipts=receipts.forget_old(now),
    )

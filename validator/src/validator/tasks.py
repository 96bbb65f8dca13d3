"""Periodic work: reading the subnet. What fails is tried again at the next turn; meanwhile the
last good answer holds."""

import asyncio
from contextlib import aclosing

import structlog
from celery import shared_task

from compute_horde_common.chain.interface import ChainError, Metagraph
from compute_horde_common.contrib.django.celery import at_start
from validator import wiring
from validator.config import config
from validator.links import manifests
from validator.links.dialling import MinerDialler
from validator.links.supervision import our_office
from validator.services import receipts, subnet

CHAIN_LIMIT_SECONDS = 60.0

log = structlog.get_logger(__name__)


@at_start
@shared_task
def sync_metagraph() -> None:
    """Reads who serves the subnet, and where."""
    try:
        metagraph = asyncio.run(_metagraph())
    except (ChainError, TimeoutError) as error:
        log.warning("metagraph not read", reason=str(error) or "no answer in time")
        return
    serving = subnet.store_metagraph(metagraph, wiring.clock().now())
    log.info("metagraph read", block=metagraph.block, miners_serving=serving)
    if subnet.somebody_was_never_asked():
        sync_manifests.delay()


@at_start
@shared_task
def sync_manifests() -> None:
    """Asks every miner that serves what it offers."""
    miners = [
        miner
        for miner in subnet.miners(allow_private=config.allow_private_miners)
        if miner.dialable
    ]
    office = our_office()
    dialler = MinerDialler(office.signer.ss58, office.clock)
    answers = asyncio.run(manifests.ask_all(miners, office, dialler))
    now = office.clock.now()
    for hotkey, counts in answers.items():
        if counts is None:
            subnet.note_silence(hotkey, now)
        else:
            subnet.store_manifest(hotkey, counts, now)
    log.info("manifests read", miners_asked=len(miners))


@shared_task
def forget_old_receipts() -> None:
    """Deletes receipts that nobody asks for any more."""
    receipts.forget_old(wiring.clock().now())


async def _metagraph() -> Metagraph:
    async with asyncio.timeout(CHAIN_LIMIT_SECONDS), aclosing(wiring.chain()) as chain:
        return await chain.metagraph()

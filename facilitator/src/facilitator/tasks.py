"""What happens from time to time, besides conversations and requests."""

import asyncio
from contextlib import aclosing

import structlog
from celery import shared_task

from compute_horde_common.chain.interface import ChainError, Metagraph, chain_validators
from compute_horde_common.contrib.django.celery import at_start
from facilitator import wiring
from facilitator.config import config
from facilitator.services import fleet, jobs, login

log = structlog.get_logger(__name__)


@at_start
@shared_task
def sync_validators() -> None:
    """Takes over from the chain who validates. When the chain does not answer, all stays."""
    if config.bittensor_network is None:
        return
    try:
        metagraph = asyncio.run(_metagraph(config.bittensor_network))
    except ChainError as error:
        log.warning("validators not synced", reason=str(error))
        return
    chosen = chain_validators(
        metagraph,
        minimum_stake=config.validator_minimum_stake,
        limit=config.validator_limit,
    )
    active = fleet.store_validators([neuron.hotkey for neuron in chosen])
    log.info("validators synced", block=metagraph.block, active=active)


@shared_task
def end_overdue_jobs() -> None:
    """Ends the jobs whose validators said nothing in time."""
    ended = jobs.end_overdue(wiring.clock().now())
    if ended:
        log.warning("overdue jobs ended", jobs=ended)


@at_start
@shared_task
def forget_what_is_over() -> None:
    """Removes spent nonces that expired, and sockets that nobody closed."""
    now = wiring.clock().now()
    login.forget_nonces(now)
    fleet.forget_connections(now)


@shared_task
def evict_old_jobs() -> None:
    """Deletes jobs that are older than the operator keeps them."""
    now, evicted = wiring.clock().now(), 0
    while some := jobs.evict(now, config.job_retention_days):
        evicted += some
    log.info("old jobs evicted", jobs=evicted)


async def _metagraph(network: str) -> Metagraph:
    async with aclosing(wiring.chain(network)) as chain:
        return await chain.metagraph()

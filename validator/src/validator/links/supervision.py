"""What ``connect_facilitator`` runs: the facilitator's link, the jobs, and a round every minute
for what was left behind."""

import asyncio
from datetime import timedelta
from importlib.metadata import version
from typing import Final

import structlog
from django.db import DatabaseError

from compute_horde_common.contrib.django.db import in_database
from validator import wiring
from validator.config import config
from validator.links import manifests
from validator.links.dialling import MinerDialler, facilitator_link
from validator.links.dispatch import Dispatcher
from validator.links.facilitator import Post, stay_connected
from validator.links.newsroom import Newsroom
from validator.links.office import Office
from validator.services import attempts

ROUND_SECONDS: Final = 60.0

log = structlog.get_logger(__name__)


def our_office() -> Office:
    """The office of the validator that this process belongs to."""
    signer = wiring.hotkey()
    return Office(signer, wiring.public_key_of(signer.ss58), wiring.verify, wiring.clock())


async def run() -> None:
    """Everything, until it is cancelled. Jobs go on while the facilitator is away."""
    office = our_office()
    dialler = MinerDialler(office.signer.ss58, office.clock)
    release = version("compute-horde-validator")
    headers = {"X-Validator-Version": release, "X-Validator-Runner-Version": release}
    newsroom = Newsroom(office.clock)
    async with asyncio.TaskGroup() as group:
        dispatcher = Dispatcher(
            group, office=office, terms=wiring.terms(), dial=dialler.job_link, newsroom=newsroom
        )
        post = Post(office, dispatcher, newsroom, allow_static=config.allow_static_facilitator_auth)
        group.create_task(_make_rounds(dispatcher, office, dialler))
        await stay_connected(
            lambda: facilitator_link(config.facilitator_uri, headers, office.clock), post
        )


async def _make_rounds(dispatcher: Dispatcher, office: Office, dialler: MinerDialler) -> None:
    while True:
        try:
            await dispatcher.resume()
            await say_farewells(office, dialler)
        except DatabaseError:
            log.exception("round broken off")
        await office.clock.sleep_until(office.clock.now() + timedelta(seconds=ROUND_SECONDS))


async def say_farewells(office: Office, dialler: MinerDialler) -> None:
    """Sends the finished receipts whose miner could not be reached in time."""
    for farewell in await in_database(attempts.farewells_due)(office.clock.now()):
        if await manifests.say_farewell(farewell, office, dialler):
            await in_database(attempts.said_farewell)(farewell.attempt)

"""``run_fleet``: the process that owns this miner's executors."""

import asyncio
import signal
from contextlib import suppress
from typing import Final

import structlog
from django.core.management.base import BaseCommand, CommandError
from typing_extensions import override

from compute_horde_common.contrib.django.db import in_database
from compute_horde_common.telemetry.alive import signs_of_life
from miner.config import config
from miner.fleet.interface import FleetError
from miner.management.keeper import Keeper
from miner.services import executors
from miner.wiring import clock, executor_manager, offered_classes, sole_owner

log = structlog.get_logger(__name__)

OWNER_LOCK: Final = 0x6D696E6572
OWNER_SECONDS: Final = 2.0


class Command(BaseCommand):
    help = "Starts and stops executors, until SIGTERM. Exactly one of these has to run."

    @override
    def handle(self, *args: object, **options: object) -> None:
        try:
            asyncio.run(_run_visibly())
        except FleetError as error:
            raise CommandError(str(error)) from error


async def _run_visibly() -> None:
    async with signs_of_life():
        await _run()


async def _run() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    while not stop.is_set():
        async with sole_owner(OWNER_LOCK) as is_sole:
            if is_sole:
                await _keep(stop)
                return
            log.warning("another process owns the fleet")
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), OWNER_SECONDS)


async def _keep(stop: asyncio.Event) -> None:
    await in_database(executors.ensure_slots)(offered_classes())
    async with executor_manager() as manager:
        keeper = Keeper(manager, config.executor_manager, clock(), warm_starts=config.warm_starts)
        try:
            await keeper.keep(stop)
        finally:
            await keeper.stop(everything=config.stop_all_on_exit)

"""``connect_facilitator``: takes jobs from the facilitator and drives them. On SIGTERM it stops;
the next start goes on with the jobs that were running."""

import asyncio
import signal
from contextlib import suppress

import structlog
from django.core.management.base import BaseCommand
from typing_extensions import override

from compute_horde_common.telemetry.alive import signs_of_life
from validator.links import supervision

log = structlog.get_logger(__name__)


class Command(BaseCommand):
    """Runs until it is told to stop."""

    help = "Takes jobs from the facilitator and drives them."

    @override
    def handle(self, *args: object, **options: object) -> None:
        asyncio.run(_run())


async def _run() -> None:
    work = asyncio.ensure_future(supervision.run())
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, work.cancel)
    async with signs_of_life():
        with suppress(asyncio.CancelledError):
            await work
    log.info("stopped, open jobs are left to the next start")

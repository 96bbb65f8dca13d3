"""``self_test``: runs one job on this miner, as a validator would."""

import asyncio
import secrets
import uuid
from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from redis.exceptions import RedisError
from typing_extensions import override

from compute_horde_common.chain.interface import WalletUnreadable
from compute_horde_common.contrib.django import serving
from compute_horde_common.jobs.executor_classes import executor_class
from compute_horde_common.links.link import LinkError
from miner.config import config
from miner.management.frames import Frames, TrialJob
from miner.management.guest import Stranger, Visit, visit
from miner.management.trial import Trial, TrialFailed
from miner.wiring import address, clock, offered_classes

SECONDS = 120
MOST_SECONDS = 3600


class Command(BaseCommand):
    help = (
        "Runs one job on this miner, end to end, and shows how long each stage takes. Exits with 1"
        " if the job does not go well. Its receipts count for nothing."
    )

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--executor-class", help="where; by default the first that is offered")
        parser.add_argument(
            "--url",
            default=config.executors_dial,
            help="where this miner is dialled, e.g. ws://198.51.100.7:8000 for its public address"
            " (%(default)s)",
        )
        parser.add_argument(
            "--image", default=config.executor_image, help="an image with `echo` (%(default)s)"
        )
        parser.add_argument(
            "--timeout",
            type=int,
            choices=range(1, MOST_SECONDS + 1),
            metavar="SECONDS",
            help=f"for the whole job; by default {SECONDS} and the class's spin-up time",
        )

    @override
    def handle(self, *args: object, **options: object) -> None:
        name = self._class(str(options["executor_class"] or ""))
        seconds = options["timeout"] or SECONDS + executor_class(name).spin_up_seconds
        word = f"self-test-{secrets.token_hex(8)}"
        job = TrialJob(str(uuid.uuid4()), name, str(options["image"]), int(str(seconds)), word)
        try:
            if not serving.is_serving():
                raise CommandError("This miner takes no new jobs: `drain --end` lets it.")
            asyncio.run(self._run(str(options["url"]), job))
        except (TrialFailed, LinkError) as error:
            raise CommandError(f"The self-test failed. {error}") from None
        except (DatabaseError, RedisError, WalletUnreadable) as error:
            raise CommandError(f"There was no self-test; `doctor` says why. {error}") from None
        self.stdout.write(f"The self-test went well: a job of {name} ran.")

    def _class(self, wanted: str) -> str:
        offered = list(offered_classes())
        if not offered:
            raise CommandError("EXECUTOR_SLOTS offers nothing, so there is nothing to test.")
        if wanted and wanted not in offered:
            known = ", ".join(offered)
            raise CommandError(f"{wanted} is not in EXECUTOR_SLOTS. What is offered: {known}.")
        return wanted or offered[0]

    async def _run(self, url: str, job: TrialJob) -> None:
        since = clock().now()
        try:
            async with visit(url, clock()) as visited:
                self._tell((clock().now() - since).total_seconds(), "connection")
                self._look_at_offer(visited, job.executor_class)
                frames = Frames(job, address(), visited.guest)
                await Trial(frames, visited.link, clock(), self._tell).run()
        except Stranger as error:
            raise TrialFailed(f"connection: another miner answers at {url}: {error}") from None

    def _look_at_offer(self, visited: Visit, class_name: str) -> None:
        if not visited.manifest.manifest.get(class_name):
            raise TrialFailed(
                f"connection: no host of {class_name} is fit to run jobs; `doctor` says why"
            )

    def _tell(self, seconds: float, stage: str) -> None:
        self.stdout.write(f"{seconds:8.2f} s  {stage}")
        self.stdout.flush()

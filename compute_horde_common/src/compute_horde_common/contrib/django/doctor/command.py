"""The management command ``doctor``, apart from what a service looks at."""

import asyncio
import logging
from abc import abstractmethod
from argparse import ArgumentParser
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from django.core.management.base import BaseCommand, CommandError
from typing_extensions import override

from compute_horde_common.contrib.django.doctor.examination import Findings, examine
from compute_horde_common.contrib.django.doctor.findings import Check
from compute_horde_common.contrib.django.doctor.report import as_json, as_text, verdict


class DoctorCommand(BaseCommand):
    """Looks at everything that a service needs. Exit status 1 if something does not work."""

    help = "Looks at everything that this service needs, and says what to do. Changes nothing."
    requires_system_checks = ()

    @abstractmethod
    def checks(self) -> AbstractAsyncContextManager[Sequence[Check]]:
        """What to look at; the context holds what the checks share."""

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="for programs")

    @override
    def handle(self, *args: object, **options: object) -> None:
        # What libraries have to say of a failure is what was found.
        logging.disable(logging.ERROR)
        try:
            findings = asyncio.run(self._examine())
        finally:
            logging.disable(logging.NOTSET)
        self.stdout.write(as_json(findings) if options["json"] else as_text(findings))
        if (fault := verdict(findings)) is not None:
            raise CommandError(fault)

    async def _examine(self) -> Findings:
        async with self.checks() as checks:
            return await examine(checks)

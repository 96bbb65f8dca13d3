"""``allow_validator SS58``: lets a validator connect, whatever the chain says."""

from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError
from typing_extensions import override

from facilitator import wiring
from facilitator.services import fleet


class Command(BaseCommand):
    """Allows a validator, or with ``--remove`` shuts it out."""

    help = "Lets a validator connect, whatever the chain says."

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("ss58", help="the validator's hotkey")
        parser.add_argument("--remove", action="store_true", help="shut it out")

    @override
    def handle(self, *args: object, **options: object) -> None:
        ss58 = str(options["ss58"])
        if not wiring.is_ss58(ss58):
            raise CommandError(f"{ss58[:64]!r} is no SS58 address")
        if options["remove"]:
            removed = fleet.disallow(ss58)
            self.stdout.write(f"{ss58} {'is shut out' if removed else 'was no validator'}")
        else:
            fleet.allow(ss58)
            self.stdout.write(f"{ss58} is a validator")

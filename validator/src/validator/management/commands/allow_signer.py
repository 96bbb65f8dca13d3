"""``allow_signer SS58``: lets a hotkey run jobs through this validator."""

from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError
from typing_extensions import override

from validator import wiring
from validator.services import subnet


class Command(BaseCommand):
    """Allows a hotkey, or with ``--remove`` shuts it out again."""

    help = "Lets a hotkey run jobs through this validator."

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("ss58", help="the hotkey's public address")
        parser.add_argument("--note", default="", help="whose it is")
        parser.add_argument("--remove", action="store_true", help="shut it out again")

    @override
    def handle(self, *args: object, **options: object) -> None:
        ss58 = str(options["ss58"])
        if not wiring.is_ss58(ss58):
            raise CommandError(f"{ss58[:64]!r} is no SS58 address")
        if options["remove"]:
            removed = subnet.disallow(ss58)
            self.stdout.write(f"{ss58} {'is shut out' if removed else 'was not allowed'}")
        else:
            added = subnet.allow(ss58, str(options["note"])[:200])
            self.stdout.write(f"{ss58} {'is allowed' if added else 'was allowed already'}")

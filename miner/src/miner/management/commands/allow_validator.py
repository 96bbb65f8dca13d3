"""``allow_validator``: serves a validator whatever the chain says of it."""

from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError
from typing_extensions import override

from miner.services import subnet
from miner.wiring import is_ss58


class Command(BaseCommand):
    help = "Serves a validator that the chain does not name, e.g. for a test."

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("hotkey", metavar="SS58")
        parser.add_argument("--remove", action="store_true", help="undo it")

    @override
    def handle(self, *args: object, hotkey: str, remove: bool, **options: object) -> None:
        if not is_ss58(hotkey):
            raise CommandError(f"{hotkey[:64]!r} is no SS58 address")
        if not remove:
            subnet.let_in(hotkey)
            self.stdout.write(f"{hotkey} is served\n")
        elif subnet.let_out(hotkey):
            self.stdout.write(f"{hotkey} is served only if the chain says so\n")
        else:
            raise CommandError(f"{hotkey} was not known")

"""The commands by which an operator lets somebody in: ``COMMAND SS58``, with ``--remove`` out."""

from abc import abstractmethod
from argparse import ArgumentParser
from collections.abc import Callable

from django.core.management.base import BaseCommand, CommandError
from typing_extensions import override

LONGEST_NOTE = 200


class AllowCommand(BaseCommand):
    """Lets a hotkey in, whatever that means to the service."""

    is_ss58: Callable[[str], bool]

    @abstractmethod
    def let_in(self, ss58: str, note: str) -> str:
        """Lets it in; returns what is true of it now, e.g. "is allowed"."""

    @abstractmethod
    def shut_out(self, ss58: str) -> str:
        """Shuts it out; returns what is true of it now.

        Raises:
            CommandError: there was nobody to shut out.
        """

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("ss58", help="the hotkey's public address")
        parser.add_argument("--remove", action="store_true", help="shut it out again")

    @override
    def handle(self, *args: object, **options: object) -> None:
        ss58 = str(options["ss58"])
        if not self.is_ss58(ss58):
            raise CommandError(f"{ss58[:64]!r} is no SS58 address")
        if options["remove"]:
            said = self.shut_out(ss58)
        else:
            said = self.let_in(ss58, str(options.get("note", ""))[:LONGEST_NOTE])
        self.stdout.write(f"{ss58} {said}")


class AllowlistCommand(AllowCommand):
    """Puts a hotkey on a list, with a note whose it is."""

    allow: Callable[[str, str], bool]
    disallow: Callable[[str], bool]

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--note", default="", help="whose it is")

    @override
    def let_in(self, ss58: str, note: str) -> str:
        return "is allowed" if self.allow(ss58, note) else "was allowed already"

    @override
    def shut_out(self, ss58: str) -> str:
        return "is shut out" if self.disallow(ss58) else "was not allowed"

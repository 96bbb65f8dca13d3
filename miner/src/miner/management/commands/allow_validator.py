"""``allow_validator SS58``: serves a validator whatever the chain says of it."""

from django.core.management.base import CommandError
from typing_extensions import override

from compute_horde_common.contrib.django.allowing import AllowCommand
from miner import wiring
from miner.services import subnet


class Command(AllowCommand):
    help = "Serves a validator that the chain does not name, e.g. for a test."
    is_ss58 = staticmethod(wiring.is_ss58)

    @override
    def let_in(self, ss58: str, note: str) -> str:
        subnet.let_in(ss58)
        return "is served"

    @override
    def shut_out(self, ss58: str) -> str:
        if not subnet.let_out(ss58):
            raise CommandError(f"{ss58} was not known")
        return "is served only if the chain says so"

"""``allow_validator SS58``: lets a validator connect, whatever the chain says."""

from typing_extensions import override

from compute_horde_common.contrib.django.allowing import AllowCommand
from facilitator import wiring
from facilitator.services import fleet


class Command(AllowCommand):
    help = "Lets a validator connect, whatever the chain says."
    is_ss58 = staticmethod(wiring.is_ss58)

    @override
    def let_in(self, ss58: str, note: str) -> str:
        fleet.allow(ss58)
        return "is a validator"

    @override
    def shut_out(self, ss58: str) -> str:
        return "is shut out" if fleet.disallow(ss58) else "was no validator"

"""``allow_signer SS58``: lets a hotkey run jobs through this validator."""

from compute_horde_common.contrib.django.allowing import AllowlistCommand
from validator import wiring
from validator.services import subnet


class Command(AllowlistCommand):
    help = "Lets a hotkey run jobs through this validator."
    is_ss58 = staticmethod(wiring.is_ss58)
    allow = staticmethod(subnet.allow)
    disallow = staticmethod(subnet.disallow)

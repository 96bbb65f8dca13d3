"""``allow_hotkey SS58``: lets a hotkey submit jobs."""

from compute_horde_common.contrib.django.allowing import AllowlistCommand
from facilitator import wiring
from facilitator.services import login


class Command(AllowlistCommand):
    help = "Lets a hotkey submit jobs."
    is_ss58 = staticmethod(wiring.is_ss58)
    allow = staticmethod(login.allow)
    disallow = staticmethod(login.disallow)

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from compute_horde_common.chain.keys import Hotkey
from miner.models import Validator

pytestmark = pytest.mark.django_db


def test_a_validator_is_let_in_and_out_again(alice: Hotkey) -> None:
    call_command("allow_validator", alice.ss58, stdout=StringIO())
    served = Validator.objects.get()
    call_command("allow_validator", alice.ss58, "--remove", stdout=StringIO())

    assert (served.hotkey, served.active, served.debug) == (alice.ss58, True, True)
    assert not Validator.objects.exists()


def test_whom_nobody_let_in_cannot_be_let_out(alice: Hotkey) -> None:
    with pytest.raises(CommandError, match="was not known"):
        call_command("allow_validator", alice.ss58, "--remove")


def test_what_is_no_hotkey_is_refused() -> None:
    with pytest.raises(CommandError, match="no SS58"):
        call_command("allow_validator", "0x00")

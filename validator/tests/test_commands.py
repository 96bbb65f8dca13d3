from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from compute_horde_common.chain.keys import Hotkey
from validator.models import AllowedSigner

pytestmark = pytest.mark.django_db


def test_a_hotkey_is_allowed_and_shut_out_again(bob: Hotkey) -> None:
    call_command("allow_signer", bob.ss58, "--note", "a friend", stdout=StringIO())
    allowed = AllowedSigner.objects.get()
    call_command("allow_signer", bob.ss58, "--remove", stdout=StringIO())

    assert (allowed.ss58, allowed.note) == (bob.ss58, "a friend")
    assert not AllowedSigner.objects.exists()


def test_what_is_no_hotkey_is_refused() -> None:
    with pytest.raises(CommandError, match="no SS58"):
        call_command("allow_signer", "0x00")

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command

from facilitator.domain.refusals import LoginRefused
from facilitator.models import Validator
from facilitator.services import login
from tests.scene import ALICE, BOB, now

pytestmark = pytest.mark.django_db


def test_a_spent_nonce_is_forgotten_once_it_has_expired() -> None:
    at = now()
    login.allow(ALICE.ss58)
    login.enter(ALICE.ss58, "nonce", at)

    assert [login.forget_nonces(at), login.forget_nonces(at + timedelta(seconds=1))] == [0, 1]


def test_a_nonce_is_spent_once() -> None:
    login.allow(ALICE.ss58)
    login.enter(ALICE.ss58, "nonce", now())

    with pytest.raises(LoginRefused):
        login.enter(ALICE.ss58, "nonce", now())


def test_the_commands_allow_and_remove() -> None:
    call_command("allow_hotkey", ALICE.ss58)
    call_command("allow_hotkey", ALICE.ss58, "--note", "again")
    allowed = login.is_allowed(ALICE.ss58)
    call_command("allow_hotkey", ALICE.ss58, "--remove")
    call_command("allow_validator", BOB.ss58)

    assert (allowed, login.is_allowed(ALICE.ss58)) == (True, False)
    assert Validator.objects.get().active


def test_a_command_refuses_what_is_no_address() -> None:
    with pytest.raises(CommandError):
        call_command("allow_hotkey", "0xabc")

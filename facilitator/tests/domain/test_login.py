from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute_horde_common.protocol.rest import Login
from facilitator.domain.login import check_login, make_nonce, make_token, read_token
from facilitator.domain.refusals import LoginRefused, NotLoggedIn, WrongSignature

AT = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = "s" * 40


def believe(_ss58: str, _data: bytes, _signature: bytes) -> bool:
    return True


def doubt(_ss58: str, _data: bytes, _signature: bytes) -> bool:
    return False


def a_login(nonce: str) -> Login:
    return Login(hotkey="5Alice", signature="ab" * 64, nonce=nonce)


def test_a_nonce_is_good_for_five_minutes() -> None:
    login = a_login(make_nonce("ab" * 16, SECRET, AT))

    expires = check_login(login, SECRET, AT + timedelta(seconds=300), believe)

    assert expires == AT + timedelta(seconds=300)
    with pytest.raises(LoginRefused):
        check_login(login, SECRET, AT + timedelta(seconds=301), believe)


def test_who_did_not_sign_is_told_apart() -> None:
    with pytest.raises(WrongSignature):
        check_login(a_login(make_nonce("ab" * 16, SECRET, AT)), SECRET, AT, doubt)


@given(st.text())
def test_no_text_passes_as_a_nonce(text: str) -> None:
    with pytest.raises(LoginRefused):
        check_login(a_login(text), SECRET, AT, believe)


@given(st.text())
def test_no_text_passes_as_a_token(text: str) -> None:
    with pytest.raises(NotLoggedIn):
        read_token(text, SECRET, AT)


def test_a_token_is_good_for_an_hour() -> None:
    token = make_token("5Alice", SECRET, AT)

    assert read_token(token, SECRET, AT + timedelta(seconds=3599)) == "5Alice"
    with pytest.raises(NotLoggedIn, match="Token expired"):
        read_token(token, SECRET, AT + timedelta(seconds=3600))

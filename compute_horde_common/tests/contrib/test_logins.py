"""Throttled logins."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.http import HttpRequest
from django.test import Client

from compute_horde_common.contrib.django import logins
from compute_horde_common.contrib.django.logins import (
    MOST_FOR_NAME,
    MOST_FROM_ADDRESS,
    WINDOW,
    note_try,
)
from compute_horde_common.contrib.django.models import FailedLogin

AT = datetime(2026, 1, 1, tzinfo=UTC)
LOGIN = "/admin/login/"
PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def _cheap_hashes(settings: LazySettings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def operator(db: None) -> User:
    return User.objects.create_superuser("operator", password=PASSWORD)


def tried(password: str, *, name: str = "operator", address: str = "192.0.2.1") -> int:
    """The status with which a login is answered."""
    form = {"username": name, "password": password}
    return Client(REMOTE_ADDR=address).post(LOGIN, form).status_code


def test_an_address_that_guesses_has_to_wait_also_for_the_right_password(operator: User) -> None:
    guesses = [tried(str(number), name=f"user {number}") for number in range(MOST_FROM_ADDRESS)]

    assert guesses == [200] * MOST_FROM_ADDRESS
    assert tried(PASSWORD) == 429
    assert tried(PASSWORD, address="192.0.2.2") == 302


def test_a_name_that_is_guessed_from_many_addresses_has_to_wait(operator: User) -> None:
    addresses = [f"198.51.100.{number}" for number in range(MOST_FOR_NAME)]

    guesses = [tried("x", address=address) for address in addresses]

    assert guesses == [200] * MOST_FOR_NAME
    assert tried(PASSWORD, name=" OPERATOR ", address="203.0.113.1") == 429
    assert tried("x", name="somebody else", address="203.0.113.1") == 200


def test_who_has_to_wait_is_told_how_long(operator: User) -> None:
    for _ in range(MOST_FROM_ADDRESS):
        tried("x")

    answer = Client(REMOTE_ADDR="192.0.2.1").post(LOGIN, {"username": "x", "password": "y"})

    assert answer.status_code == 429
    assert (
        WINDOW.total_seconds() - 60 < int(answer.headers["Retry-After"]) <= WINDOW.total_seconds()
    )
    assert "Try again in 15 minutes" in answer.content.decode()


def test_a_login_that_succeeds_forgives_the_failures_before_it(operator: User) -> None:
    for _ in range(MOST_FROM_ADDRESS - 1):
        tried("x")

    assert tried(PASSWORD) == 302
    assert not FailedLogin.objects.filter(subject__startswith="name").exists()


def test_successes_are_not_counted(operator: User) -> None:
    assert {tried(PASSWORD) for _ in range(MOST_FOR_NAME + 1)} == {302}
    assert not FailedLogin.objects.exists()


def test_a_forged_request_is_refused_and_not_counted(operator: User) -> None:
    browser = Client(enforce_csrf_checks=True)

    assert browser.post(LOGIN, {"username": "operator", "password": "x"}).status_code == 403
    assert not FailedLogin.objects.exists()


@pytest.mark.parametrize(
    "form", [{}, {"username": "\0", "password": "\0"}, {"username": "ż" * 9999}]
)
def test_a_strange_login_fails_like_any_other(db: None, form: dict[str, str]) -> None:
    assert Client().post(LOGIN, form).status_code == 200
    assert FailedLogin.objects.count() == 2


def test_user_names_are_not_kept_in_clear(operator: User) -> None:
    tried("x", name="my secret passphrase")

    kept = " ".join(FailedLogin.objects.values_list("subject", flat=True))
    assert "secret" not in kept


def test_waiting_ends_when_the_window_has_passed(db: None) -> None:
    for number in range(MOST_FROM_ADDRESS):
        note_try("a", str(number), AT + timedelta(seconds=number))

    refused = note_try("a", "x", AT + timedelta(minutes=10))

    assert refused == WINDOW - timedelta(minutes=10)
    assert isinstance(note_try("a", "x", AT + WINDOW), list)


def test_an_operator_can_let_everybody_try_again(operator: User) -> None:
    for _ in range(MOST_FROM_ADDRESS):
        tried("x")

    call_command("unlock_logins", stdout=StringIO())

    assert tried(PASSWORD) == 302


def test_tries_while_waiting_do_not_make_it_longer(db: None) -> None:
    for number in range(MOST_FROM_ADDRESS):
        note_try("a", str(number), AT)
    for minute in range(14):
        note_try("a", "x", AT + timedelta(minutes=minute))

    assert isinstance(note_try("a", "x", AT + WINDOW), list)


def test_old_failures_are_forgotten(db: None) -> None:
    note_try("a", "x", AT)

    note_try("b", "y", AT + WINDOW)

    assert set(FailedLogin.objects.values_list("at", flat=True)) == {AT + WINDOW}


@pytest.mark.django_db(transaction=True)
def test_of_many_tries_at_once_no_more_pass_than_one_after_the_other() -> None:
    def attempt(number: int) -> bool:
        try:
            return isinstance(note_try("a", str(number), AT), list)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        passed = sum(pool.map(attempt, range(3 * MOST_FROM_ADDRESS)))

    assert 0 < passed <= MOST_FROM_ADDRESS


@pytest.mark.parametrize(
    ("behind_proxy", "told", "peer", "visitor"),
    [
        (False, None, "192.0.2.1", "192.0.2.1"),
        (False, "203.0.113.9", "192.0.2.1", "192.0.2.1"),
        (True, "203.0.113.9", "192.0.2.1", "203.0.113.9"),
        (True, None, "192.0.2.1", "192.0.2.1"),
        (True, "2001:db8:1:2:3:4:5:6", "192.0.2.1", "2001:db8:1:2::/64"),
        (True, "::ffff:203.0.113.9", "192.0.2.1", "203.0.113.9"),
        (True, "nonsense", "192.0.2.1", "unknown"),
        (False, None, "", "unknown"),
        (False, None, "::1", "::/64"),
    ],
)
def test_a_proxy_is_believed_only_where_there_is_one(
    settings: LazySettings, behind_proxy: bool, told: str | None, peer: str, visitor: str
) -> None:
    settings.BEHIND_PROXY = behind_proxy
    request = HttpRequest()
    request.META = {"REMOTE_ADDR": peer} | ({"HTTP_X_REAL_IP": told} if told else {})

    assert logins.visitor(request) == visitor

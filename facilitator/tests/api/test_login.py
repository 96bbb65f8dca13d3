import pytest
from django.test import Client

from compute_horde_common.chain.keys import Hotkey
from facilitator.api.auth import _NONCE_SECRET, _TOKEN_SECRET
from facilitator.domain.login import make_nonce, make_token
from facilitator.services import login as accounts
from tests.scene import ALICE, BOB, LONG_AGO, Answer, User

pytestmark = pytest.mark.django_db


def fresh_nonce() -> str:
    nonce: str = Client().get("/auth/nonce").json()["nonce"]
    return nonce


def proof(hotkey: Hotkey, text: str) -> dict[str, str]:
    return {
        "hotkey": hotkey.ss58,
        "signature": hotkey.sign(text.encode()).hex(),
        "nonce": text,
    }


def log_in(body: object) -> Answer:
    return Client().post("/auth/login", body, content_type="application/json")


def test_who_signs_the_nonce_gets_a_token_that_works() -> None:
    accounts.allow(ALICE.ss58)

    token = log_in(proof(ALICE, fresh_nonce())).json()["token"]

    answer = Client().get("/api/v1/jobs/", headers={"Authorization": f"bearer {token}"})
    assert (answer.status_code, answer.json()["count"]) == (200, 0)


def test_a_nonce_makes_one_token() -> None:
    accounts.allow(ALICE.ss58)
    body = proof(ALICE, fresh_nonce())
    log_in(body)

    again = log_in(body)

    assert again.status_code == 400
    assert "used before" in again.json()["error"]


@pytest.mark.parametrize("missing", ["hotkey", "signature", "nonce"])
def test_a_login_without_a_member_is_refused(missing: str) -> None:
    body = proof(ALICE, fresh_nonce())
    del body[missing]

    answer = log_in(body)

    assert answer.status_code == 400
    assert missing in answer.json()["error"]


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"nonce": "a" * 32 + ":1:" + "b" * 64}, 400),
        ({"nonce": "żółw"}, 400),
        ({"nonce": make_nonce("ab" * 16, _NONCE_SECRET, LONG_AGO)}, 400),
        ({"signature": "zz" * 64}, 400),
        ({"signature": "ab" * 63}, 400),
        ({"signature": "0x" + "ab" * 64}, 400),
        ({"signature": ""}, 400),
        ({"hotkey": BOB.ss58}, 401),
    ],
)
def test_a_bad_login_is_refused(wrong: dict[str, str], status: int) -> None:
    accounts.allow(ALICE.ss58)

    answer = log_in(proof(ALICE, fresh_nonce()) | wrong)

    assert (answer.status_code, list(answer.json())) == (status, ["error"])


def test_a_hotkey_that_is_not_allowed_gets_no_token() -> None:
    answer = log_in(proof(ALICE, fresh_nonce()))

    assert answer.status_code == 400
    assert "not allowed" in answer.json()["error"]


def test_a_body_that_is_no_json_is_told_so() -> None:
    answer = Client().post("/auth/login", "{", content_type="application/json")

    assert answer.status_code == 400


def test_auth_paths_have_no_slash_at_the_end() -> None:
    answers = [Client().get("/auth/nonce/"), Client().post("/auth/login/")]

    assert [(answer.status_code, list(answer.json())) for answer in answers] == [
        (404, ["detail"])
    ] * 2


@pytest.mark.parametrize("header", [None, "Token abc", "Bearer", "Bearer abc", "Bearer  a.b.c"])
def test_without_a_good_token_nothing_is_shown(header: str | None) -> None:
    answer = Client().get("/api/v1/jobs/", headers={"Authorization": header} if header else {})

    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
    assert list(answer.json()) == ["detail"]


def test_an_expired_token_is_told_with_the_words_that_the_sdk_looks_for() -> None:
    user = User.allowed()
    user.headers["Authorization"] = "Bearer " + make_token(ALICE.ss58, _TOKEN_SECRET, LONG_AGO)

    answer = user.get("/api/v1/jobs/")

    assert answer.status_code == 401
    assert "Token expired" in answer.content.decode()


def test_a_token_signed_with_another_key_is_refused() -> None:
    user = User.allowed()
    user.headers["Authorization"] = "Bearer " + make_token(ALICE.ss58, "x" * 40, LONG_AGO)

    assert user.get("/api/v1/jobs/").status_code == 401


def test_who_is_shut_out_is_shut_out_at_once() -> None:
    user = User.allowed()
    accounts.disallow(ALICE.ss58)

    assert user.get("/api/v1/jobs/").status_code == 401

"""Login with a hotkey, and the token that every other request shows."""

import secrets

from django.http import HttpRequest
from ninja import Router
from ninja.security import HttpBearer
from typing_extensions import override

from compute_horde_common.protocol.rest import Login, Nonce, Token
from facilitator import wiring
from facilitator.config import config
from facilitator.domain.login import check_login, make_nonce, make_token, read_token
from facilitator.domain.refusals import NotLoggedIn
from facilitator.services import login as accounts

router = Router(tags=["login"])

_NONCE_SECRET = config.secret_key.get_secret_value()
_TOKEN_SECRET = config.jwt_secret.get_secret_value()


class Authenticated(HttpRequest):
    """A request with a good token; ``auth`` is the hotkey that logged in."""

    auth: str


class BearerToken(HttpBearer):
    """Lets in whose token is good and whose hotkey is still allowed."""

    @override
    def authenticate(self, request: HttpRequest, token: str) -> str:
        hotkey = read_token(token, _TOKEN_SECRET, wiring.clock().now())
        if not accounts.is_allowed(hotkey):
            raise NotLoggedIn("This hotkey is no longer allowed here.")
        return hotkey


@router.get("/nonce", response=Nonce)
def nonce(request: HttpRequest) -> Nonce:  # noqa: ARG001 - ninja hands it over
    """A text to sign with the hotkey, within five minutes."""
    return Nonce(nonce=make_nonce(secrets.token_hex(16), _NONCE_SECRET, wiring.clock().now()))


@router.post("/login", response=Token)
def login(request: HttpRequest, body: Login) -> Token:  # noqa: ARG001 - likewise
    """A token for whoever signed the nonce. A nonce makes one token."""
    now = wiring.clock().now()
    expires = check_login(body, _NONCE_SECRET, now, wiring.verify)
    accounts.enter(body.hotkey, body.nonce, expires)
    return Token(token=make_token(body.hotkey, _TOKEN_SECRET, now))

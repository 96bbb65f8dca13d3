"""Nonces and tokens. Both carry their own proof, so nothing is stored for them; that a nonce is
used only once is for the database to see to."""

import hashlib
import hmac
from datetime import UTC, datetime

import jwt

from compute_horde_common.protocol.rest import (
    LEGACY_TOKEN_EXPIRED,
    NONCE_SECONDS,
    TOKEN_SECONDS,
    Login,
)
from compute_horde_common.protocol.signatures import SIGNATURE_BYTES, Verifier
from facilitator.domain.refusals import LoginRefused, NotLoggedIn, WrongSignature

ALGORITHM = "HS256"
MAX_NONCE_LENGTH = 200


def make_nonce(randomness: str, secret: str, at: datetime) -> str:
    """A text to be signed; ``randomness`` is hex."""
    unsigned = f"{randomness}:{int(at.timestamp())}"
    return f"{unsigned}:{_proof(unsigned, secret)}"


def check_login(login: Login, secret: str, at: datetime, verify: Verifier) -> datetime:
    """Passes when the hotkey signed one of our nonces in time; returns when that nonce expires.

    Raises:
        WrongSignature: somebody else signed.
        LoginRefused: something is missing, malformed or too old.
    """
    for name in ("hotkey", "signature", "nonce"):
        if not getattr(login, name):
            raise LoginRefused(f"{name} is missing")
    expires = _expiry(login.nonce, secret)
    if not 0 <= expires - at.timestamp() <= NONCE_SECONDS + 1:
        raise LoginRefused("the nonce has expired, ask for a new one")
    try:
        signature = bytes.fromhex(login.signature)
    except ValueError:
        raise LoginRefused("the signature is not hex; it has no 0x before it") from None
    if len(signature) != SIGNATURE_BYTES or len(login.signature) != 2 * SIGNATURE_BYTES:
        raise LoginRefused(f"the signature does not have {SIGNATURE_BYTES} bytes")
    if not verify(login.hotkey, login.nonce.encode(), signature):
        raise WrongSignature("the signature is not this hotkey's signature of the nonce")
    return datetime.fromtimestamp(expires, UTC)


def make_token(hotkey: str, secret: str, at: datetime) -> str:
    """What the hotkey shows from now on, for an hour."""
    issued = int(at.timestamp())
    claims = {"sub": hotkey, "iat": issued, "exp": issued + TOKEN_SECONDS}
    return jwt.encode(claims, secret, algorithm=ALGORITHM)


def read_token(token: str, secret: str, at: datetime) -> str:
    """Whose token it is.

    Raises:
        NotLoggedIn: it is none of ours, or has expired.
    """
    try:
        claims = jwt.decode(
            token,
            secret,
            algorithms=[ALGORITHM],
            options={"require": ["sub", "exp"], "verify_exp": False, "verify_iat": False},
        )
        expires = float(claims["exp"])
    except (jwt.InvalidTokenError, TypeError, ValueError):
        raise NotLoggedIn("The token is not valid. Log in again.") from None
    if expires <= at.timestamp():
        raise NotLoggedIn(LEGACY_TOKEN_EXPIRED)
    return str(claims["sub"])


def _expiry(nonce: str, secret: str) -> int:
    unsigned, _, proof = nonce.rpartition(":")
    genuine = len(nonce) <= MAX_NONCE_LENGTH and nonce.isascii()
    if not genuine or not hmac.compare_digest(proof, _proof(unsigned, secret)):
        raise LoginRefused("the nonce is none of ours, ask for a new one")
    return int(unsigned.rpartition(":")[2]) + NONCE_SECONDS


def _proof(unsigned: str, secret: str) -> str:
    key = f"facilitator.nonce:{secret}".encode()
    return hmac.new(key, unsigned.encode(), hashlib.sha256).hexdigest()

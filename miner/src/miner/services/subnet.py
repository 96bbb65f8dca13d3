"""Whom the miner serves, and whether somebody is who they say."""

from collections.abc import Iterable
from datetime import datetime

import structlog
from django.db import transaction
from redis.exceptions import RedisError

from compute_horde_common.protocol.signatures import hex_verified
from compute_horde_common.protocol.validator_miner import (
    AUTH_WINDOW_SECONDS,
    Authenticate,
    authentication_text,
)
from miner.config import config
from miner.domain.admission import Refusal, authentication_fault
from miner.models import BlacklistedValidator, Validator
from miner.wiring import address, first_time, is_guest, verify

log = structlog.get_logger(__name__)

REMEMBER_SECONDS = 3 * AUTH_WINDOW_SECONDS
"""Longer than an authentication can be valid, clocks running ahead included."""


def standing(hotkey: str) -> Refusal | None:
    """Why a validator is not served, if it is not. A guest of the miner's own is."""
    refusal = _standing(hotkey)
    return None if refusal is not None and is_guest(hotkey) else refusal


def _standing(hotkey: str) -> Refusal | None:
    if config.is_local_miner:
        served = hotkey == config.local_miner_validator_public_key
        return None if served else _unknown(hotkey)
    active = Validator.objects.filter(hotkey=hotkey).values_list("active", flat=True).first()
    if active is None:
        return _unknown(hotkey)
    if not active:
        return Refusal(f"validator {hotkey[:64]} is not active", "VALIDATOR_INACTIVE")
    return None


def _unknown(hotkey: str) -> Refusal:
    return Refusal(f"validator {hotkey[:64]} is not known here", "UNKNOWN_VALIDATOR")


def authenticate(said: Authenticate, validator: str, at: datetime) -> Refusal | None:
    """Why an authentication does not count. The same one counts once only."""
    miner = None if config.is_local_miner else address()
    if (fault := authentication_fault(said, validator=validator, miner=miner, at=at)) is not None:
        return fault
    text = authentication_text(said.validator_hotkey, said.miner_hotkey, said.timestamp)
    if not hex_verified(validator, text, said.signature, verify):
        return Refusal("the authentication's signature does not verify")
    try:
        if first_time(said.signature.removeprefix("0x").lower(), REMEMBER_SECONDS):
            return None
    except RedisError as error:
        log.error("authentications cannot be remembered", error=str(error))  # noqa: TRY400
        return Refusal("this miner cannot authenticate anybody now; try again")
    return Refusal("this authentication was used before")


def is_blacklisted(hotkey: str) -> bool:
    """Whether this validator's offers are declined."""
    return BlacklistedValidator.objects.filter(hotkey=hotkey).exists()


@transaction.atomic
def store_validators(hotkeys: Iterable[str]) -> int:
    """Takes over who validates now, and returns how many are served.

    An empty answer is taken for a failed one: the last good set stays. What a person let in, stays.
    """
    found = set(hotkeys)
    if not found:
        log.warning("chain names no validators, keeping those that are known")
        return Validator.objects.filter(active=True).count()
    rows = [Validator(hotkey=hotkey, active=True) for hotkey in sorted(found)]
    Validator.objects.bulk_create(rows, ignore_conflicts=True)
    known = Validator.objects.filter(debug=False)
    known.filter(hotkey__in=found, active=False).update(active=True)
    known.filter(active=True).exclude(hotkey__in=found).update(active=False)
    return Validator.objects.filter(active=True).count()


def let_in(hotkey: str) -> None:
    """Serves a validator whatever the chain says of it."""
    Validator.objects.update_or_create(hotkey=hotkey, defaults={"active": True, "debug": True})


def let_out(hotkey: str) -> bool:
    """Undoes `let_in`; the next look at the chain decides again. False if there is no such row."""
    return Validator.objects.filter(hotkey=hotkey).delete()[0] > 0

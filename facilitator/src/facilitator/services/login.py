"""Who may use the API."""

from datetime import datetime

from django.db import IntegrityError, transaction

from facilitator.domain.refusals import LoginRefused
from facilitator.models import AllowedHotkey, SpentNonce


def allow(ss58: str, note: str = "") -> bool:
    """Lets a hotkey submit jobs; False if it could already."""
    return AllowedHotkey.objects.get_or_create(ss58=ss58, defaults={"note": note})[1]


def disallow(ss58: str) -> bool:
    """Shuts a hotkey out, at once; False if it was not allowed."""
    return AllowedHotkey.objects.filter(ss58=ss58).delete()[0] > 0


def is_allowed(ss58: str) -> bool:
    """Whether a hotkey may submit jobs."""
    return AllowedHotkey.objects.filter(ss58=ss58).exists()


def enter(hotkey: str, nonce: str, expires_at: datetime) -> None:
    """Uses up a nonce, for a hotkey that signed it.

    Raises:
        LoginRefused: the hotkey is not allowed, or the nonce was used before.
    """
    if not is_allowed(hotkey):
        raise LoginRefused("this hotkey is not allowed here; ask the operator to allow it")
    try:
        with transaction.atomic():
            SpentNonce.objects.create(nonce=nonce, expires_at=expires_at)
    except IntegrityError:
        raise LoginRefused("the nonce was used before, ask for a new one") from None


def forget_nonces(at: datetime) -> int:
    """Forgets spent nonces that have expired; how many."""
    return SpentNonce.objects.filter(expires_at__lt=at).delete()[0]

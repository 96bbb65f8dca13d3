"""The validators: who is one, and who is connected."""

from collections.abc import Collection
from datetime import datetime, timedelta

from django.db import transaction

from compute_horde_common.contrib.django import outbox
from compute_horde_common.contrib.django.mailbox import wake_on_commit
from compute_horde_common.contrib.django.models import Outbox
from compute_horde_common.protocol.facilitator_validator import CONNECTED_SECONDS
from facilitator.models import Source, Validator, ValidatorConnection
from facilitator.models.fleet import VERSION_LENGTH


def mailbox_of(ss58: str) -> str:
    """The outbox recipient that a validator is."""
    return f"validator.{ss58}"


def control_mailbox_of(ss58: str) -> str:
    """The recipient of what only those sockets of a validator may get that know job control."""
    return f"validator.{ss58}.control"


def is_active(ss58: str) -> bool:
    """Whether a hotkey is a validator's that may connect."""
    return Validator.objects.filter(ss58=ss58, active=True).exists()


def is_connected(ss58: str, at: datetime) -> bool:
    """Whether a validator may get jobs, and has shown lately that it is there."""
    fresh = at - timedelta(seconds=CONNECTED_SECONDS)
    return Validator.objects.filter(
        ss58=ss58, active=True, connections__last_heartbeat__gte=fresh
    ).exists()


def takes_cancellations(ss58: str, at: datetime) -> bool:
    """Whether a cancellation reaches a validator, now or when it is back: False if all of its
    sockets are of the kind that cannot take one."""
    fresh = at - timedelta(seconds=CONNECTED_SECONDS)
    sockets = ValidatorConnection.objects.filter(validator_id=ss58, last_heartbeat__gte=fresh)
    kinds = set(sockets.values_list("job_control", flat=True))
    return kinds != {False}


@transaction.atomic
def connect(
    ss58: str, version: str, runner_version: str, at: datetime, *, job_control: bool = False
) -> int:
    """Notes a new socket of a validator; its number is for the functions below."""
    Validator.objects.filter(ss58=ss58).update(
        version=version[:VERSION_LENGTH], runner_version=runner_version[:VERSION_LENGTH]
    )
    return ValidatorConnection.objects.create(
        validator_id=ss58, connected_at=at, last_heartbeat=at, job_control=job_control
    ).id


def beat(connection: int, at: datetime) -> bool:
    """Notes that the validator is still there; False if it was given up before."""
    return ValidatorConnection.objects.filter(id=connection).update(last_heartbeat=at) > 0


@transaction.atomic
def disconnect(connection: int, ss58: str, unconfirmed: Collection[int]) -> None:
    """Notes that a socket is closed. Messages that were sent on it and not confirmed are due at
    once, for the next one."""
    ValidatorConnection.objects.filter(id=connection).delete()
    if not unconfirmed:
        return
    Outbox.objects.filter(id__in=unconfirmed).update(not_before=None)
    for mailbox in (mailbox_of(ss58), control_mailbox_of(ss58)):
        wake_on_commit(outbox.topic(mailbox))


@transaction.atomic
def store_validators(hotkeys: Collection[str]) -> int:
    """Takes over who the chain says validates; how many are active now.

    An empty answer counts as a failed one and changes nothing.
    """
    if hotkeys:
        Validator.objects.bulk_create(
            [Validator(ss58=ss58, source=Source.CHAIN) for ss58 in hotkeys], ignore_conflicts=True
        )
        of_chain = Validator.objects.filter(source=Source.CHAIN)
        of_chain.filter(ss58__in=hotkeys, active=False).update(active=True)
        of_chain.filter(active=True).exclude(ss58__in=hotkeys).update(active=False)
    return Validator.objects.filter(active=True).count()


def allow(ss58: str) -> None:
    """Makes a hotkey a validator's, whatever the chain says."""
    Validator.objects.update_or_create(
        ss58=ss58, defaults={"active": True, "source": Source.OPERATOR}
    )


def disallow(ss58: str) -> bool:
    """Shuts a validator out, whatever the chain says; False if there is none."""
    found = Validator.objects.filter(ss58=ss58)
    return found.update(active=False, source=Source.OPERATOR) > 0


def forget_connections(at: datetime) -> int:
    """Forgets sockets that a crashed process left behind; how many."""
    stale = at - timedelta(seconds=CONNECTED_SECONDS)
    return ValidatorConnection.objects.filter(last_heartbeat__lt=stale).delete()[0]

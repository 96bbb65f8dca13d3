"""What is to be said to a peer, kept until the peer has it. Each function is one transaction.

A claimed message is left alone for the length of its lease; if it is not confirmed by then, it is
due again. So a message may arrive twice, and messages about different things out of order only
where a lease ran out between them.
"""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q, QuerySet

from compute_horde_common.contrib.django.mailbox import wake_on_commit
from compute_horde_common.contrib.django.models.outbox import Outbox


def topic(recipient: str) -> str:
    """The mailbox topic on which news for ``recipient`` is announced."""
    return f"outbox.{recipient}"


@transaction.atomic(savepoint=False)
def put(recipient: str, about: str, body: str) -> Outbox:
    """Stores a message and, once that is committed, wakes whoever delivers it."""
    message = Outbox.objects.create(recipient=recipient, about=str(about), body=body)
    wake_on_commit(topic(recipient))
    return message


@transaction.atomic
def claim_due(recipient: str, at: datetime, lease_seconds: float, limit: int) -> list[Outbox]:
    """Up to ``limit`` due messages, oldest first; nobody else gets them until the lease ends."""
    claimed = list(
        _of(recipient)
        .filter(Q(not_before=None) | Q(not_before__lte=at))
        .select_for_update(skip_locked=True)[:limit]
    )
    lease_end = at + timedelta(seconds=lease_seconds)
    Outbox.objects.filter(id__in=[message.id for message in claimed]).update(
        not_before=lease_end, attempts=F("attempts") + 1
    )
    for message in claimed:
        message.not_before = lease_end
        message.attempts += 1
    return claimed


def confirm(message_id: int) -> None:
    """Forgets a message that arrived. Confirming twice is confirming once."""
    Outbox.objects.filter(id=message_id).delete()


def withdraw(recipient: str, about: str) -> int:
    """Forgets what was to be said to ``recipient`` about ``about``; how many that were."""
    return Outbox.objects.filter(recipient=recipient, about=str(about)).delete()[0]


def release(recipient: str) -> int:
    """Ends all leases of ``recipient``, for a peer that has just connected anew."""
    return _of(recipient).exclude(not_before=None).update(not_before=None)


def pending(recipient: str) -> list[Outbox]:
    """Everything that ``recipient`` has not confirmed, oldest first."""
    return list(_of(recipient))


def _of(recipient: str) -> QuerySet[Outbox]:
    return Outbox.objects.filter(recipient=recipient).order_by("id")

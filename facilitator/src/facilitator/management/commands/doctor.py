"""``doctor``: whether the facilitator has all that it needs."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from pathlib import Path

from typing_extensions import override

from compute_horde_common.contrib.django.db import in_database
from compute_horde_common.contrib.django.doctor.command import DoctorCommand
from compute_horde_common.contrib.django.doctor.findings import Check, Finding, ok, warn
from compute_horde_common.contrib.django.doctor.machine import (
    MAKE_ROOM,
    clock_is_right,
    disk_has_room,
)
from compute_horde_common.contrib.django.doctor.stores import Stores
from compute_horde_common.contrib.django.doctor.subnet import ANSWER_SECONDS, SubnetLook
from facilitator import wiring
from facilitator.config import config
from facilitator.models import Validator
from facilitator.services import fleet


class Command(DoctorCommand):
    @override
    def checks(self) -> AbstractAsyncContextManager[Sequence[Check]]:
        return _checks()


@asynccontextmanager
async def _checks() -> AsyncIterator[Sequence[Check]]:
    network = config.bittensor_network
    if network is None:
        yield [*_everywhere(), Check("clock", lambda: _clock(None))]
        return
    look = SubnetLook(lambda: wiring.chain(network), network, config.bittensor_netuid)
    async with aclosing(look) as subnet:
        yield [
            Check("chain", subnet.answers, seconds=ANSWER_SECONDS),
            *_everywhere(),
            Check("clock", lambda: _clock(subnet), seconds=ANSWER_SECONDS),
        ]


def _everywhere() -> list[Check]:
    stores = Stores("facilitator", str(config.database_url), str(config.redis_url), wiring.clock())
    return [
        *stores.checks(),
        Check("disk", lambda: disk_has_room(Path("/"), advice=MAKE_ROOM)),
        Check("validators", in_database(validators_are_connected), needs=("migrations",)),
    ]


async def _clock(subnet: SubnetLook | None) -> Finding:
    return await clock_is_right(wiring.clock(), subnet=subnet, urls=())


def validators_are_connected() -> Finding:
    """Whether there is a validator to give jobs to."""
    now = wiring.clock().now()
    known = Validator.objects.filter(active=True).values_list("ss58", flat=True)
    connected = sum(fleet.is_connected(ss58, now) for ss58 in known)
    found = f"{connected} of {len(known)} connected"
    if not known:
        return warn(
            "none is known",
            "The worker reads them from the chain every minute where BITTENSOR_NETWORK is set;"
            " `python -m django allow_validator SS58` lets one in.",
        )
    if not connected:
        return warn(
            found,
            "Jobs wait for one. A validator connects by itself: run doctor there, and check that"
            " its FACILITATOR_URI leads to this machine (FACILITATOR_PORT in .env here).",
        )
    return ok(found)

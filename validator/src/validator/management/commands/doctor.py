"""``doctor``: whether the validator has all that it needs."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from pathlib import Path

from typing_extensions import override

from compute_horde_common.contrib.django.doctor.command import DoctorCommand
from compute_horde_common.contrib.django.doctor.findings import Check, Finding
from compute_horde_common.contrib.django.doctor.machine import (
    MAKE_ROOM,
    clock_is_right,
    disk_has_room,
)
from compute_horde_common.contrib.django.doctor.stores import Stores
from compute_horde_common.contrib.django.doctor.subnet import ANSWER_SECONDS, SubnetLook
from compute_horde_common.contrib.django.doctor.switch import takes_work
from compute_horde_common.contrib.django.doctor.wallet import Wallet
from compute_horde_common.contrib.django.doctor.web import web_address
from validator import wiring
from validator.config import config
from validator.links.supervision import our_office
from validator.management import peers

PEER_SECONDS = 20.0


class Command(DoctorCommand):
    @override
    def checks(self) -> AbstractAsyncContextManager[Sequence[Check]]:
        return _checks()


@asynccontextmanager
async def _checks() -> AsyncIterator[Sequence[Check]]:
    look = SubnetLook(wiring.chain, config.bittensor_network, config.bittensor_netuid)
    stores = Stores("validator", str(config.database_url), str(config.redis_url), wiring.clock())
    wallet = Wallet(*config.wallet, open=wiring.hotkey)
    async with aclosing(look) as subnet:
        yield [
            Check("wallet", wallet.hotkey_is_good),
            Check("chain", subnet.answers, seconds=ANSWER_SECONDS),
            Check("registration", lambda: _registration(subnet), needs=("wallet", "chain")),
            *stores.checks(),
            Check("serving", takes_work, needs=("migrations",)),
            Check("clock", lambda: _clock(subnet), seconds=ANSWER_SECONDS),
            Check("disk", lambda: disk_has_room(Path("/"), advice=MAKE_ROOM)),
            Check(
                "facilitator", _facilitator, needs=("wallet", "migrations"), seconds=PEER_SECONDS
            ),
            Check("trusted miner", _trusted_miner, needs=("wallet",), seconds=PEER_SECONDS),
            Check("S3 buckets", lambda: peers.buckets_are_named(config)),
        ]


async def _registration(subnet: SubnetLook) -> Finding:
    return await subnet.validator_counts(wiring.hotkey().ss58)


async def _clock(subnet: SubnetLook) -> Finding:
    urls = [web_address(config.facilitator_uri, "/version")]
    return await clock_is_right(wiring.clock(), subnet=subnet, urls=urls)


async def _facilitator() -> Finding:
    return await peers.facilitator_lets_us_in(config, our_office())


async def _trusted_miner() -> Finding:
    return await peers.trusted_miner_serves_us(config, our_office())

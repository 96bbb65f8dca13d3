"""``doctor``: whether the miner has all that it needs."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from pathlib import Path

from typing_extensions import override

from compute_horde_common.chain.interface import Address
from compute_horde_common.containers.interface import ContainerEngine
from compute_horde_common.contrib.django.doctor.command import DoctorCommand
from compute_horde_common.contrib.django.doctor.findings import Check, Finding, warn
from compute_horde_common.contrib.django.doctor.machine import (
    MAKE_ROOM,
    clock_is_right,
    disk_has_room,
)
from compute_horde_common.contrib.django.doctor.stores import Stores
from compute_horde_common.contrib.django.doctor.subnet import ANSWER_SECONDS, SubnetLook
from compute_horde_common.contrib.django.doctor.switch import is_on, takes_work
from compute_horde_common.contrib.django.doctor.wallet import Wallet
from miner import wiring
from miner.config import config
from miner.management import fleet_look, reach
from miner.management.commands.run_fleet import OWNER_LOCK
from miner.management.host import Host
from miner.tasks import ECHO_SERVICES


class Command(DoctorCommand):
    @override
    def checks(self) -> AbstractAsyncContextManager[Sequence[Check]]:
        return _checks()


@asynccontextmanager
async def _checks() -> AsyncIterator[Sequence[Check]]:
    async with wiring.engine() as engine:
        if config.is_local_miner:
            yield [*_common(engine), *_of_trusted_miner()]
            return
        async with aclosing(
            SubnetLook(wiring.chain_for_reading, config.bittensor_network, config.bittensor_netuid)
        ) as subnet:
            yield [*_on_chain(subnet), *_common(engine), *_reached(subnet)]


def _common(engine: ContainerEngine) -> list[Check]:
    stores = Stores("miner", str(config.database_url), str(config.redis_url), wiring.clock())
    host = Host(
        engine,
        config.executor_manager,
        config.executor_image,
        config.executor_work_directory,
        gpu_classes=tuple(config.gpu_slots),
        without_gpu=config.debug_no_gpu_mode,
    )
    return [
        *stores.checks(),
        Check("serving", takes_work, needs=("migrations",)),
        Check("disk", lambda: disk_has_room(Path("/"), advice=MAKE_ROOM)),
        *host.checks(),
        Check("executors", _fleet, needs=("migrations",)),
    ]


def _on_chain(subnet: SubnetLook) -> list[Check]:
    wallet = Wallet(*config.wallet, open=wiring.hotkey)
    return [
        Check("wallet", wallet.hotkey_is_good),
        Check("chain", subnet.answers, seconds=ANSWER_SECONDS),
        Check("registration", lambda: _registration(subnet), needs=("wallet", "chain")),
    ]


def _reached(subnet: SubnetLook) -> list[Check]:
    here = ("wallet", "Redis", "migrations")
    there = (*here, "registration")
    limit = 2 * ANSWER_SECONDS
    return [
        Check("clock", lambda: _clock(subnet), seconds=ANSWER_SECONDS),
        Check("web server", _web_server, needs=here, seconds=limit),
        Check("announcement", lambda: _announcement(subnet), needs=there),
        Check("public port", lambda: _public_port(subnet), needs=there, seconds=limit),
    ]


def _of_trusted_miner() -> list[Check]:
    here = ("Redis", "migrations")
    limit = 2 * ANSWER_SECONDS
    return [
        Check("clock", lambda: _clock(None), seconds=ANSWER_SECONDS),
        Check("web server", _web_server, needs=here, seconds=limit),
        Check("public port", lambda: _public_port(None), needs=here, seconds=limit),
    ]


async def _fleet() -> Finding:
    return await fleet_look.fleet_runs(wiring.offered_classes(), OWNER_LOCK)


async def _registration(subnet: SubnetLook) -> Finding:
    return await subnet.miner_is_registered(wiring.address())


async def _clock(subnet: SubnetLook | None) -> Finding:
    urls = ECHO_SERVICES if config.bittensor_miner_address == "auto" else ()
    return await clock_is_right(wiring.clock(), subnet=subnet, urls=urls)


async def _web_server() -> Finding:
    return await reach.web_server_answers(config.executors_dial, wiring.clock())


async def _announcement(subnet: SubnetLook) -> Finding:
    if not await is_on():
        return warn(
            "not compared while no new work is taken", "See serving: it is announced after that."
        )
    neuron = subnet.metagraph.by_hotkey()[wiring.address()]
    return await reach.announcement_is_right(
        neuron, wiring.announced(), config.bittensor_miner_port
    )


async def _public_port(subnet: SubnetLook | None) -> Finding:
    host = wiring.announced()
    public = Address(host, config.bittensor_miner_port) if host else None
    # While no new work is taken, it may be another server that is announced.
    if public is None and subnet is not None and await is_on():
        public = subnet.metagraph.by_hotkey()[wiring.address()].axon
    return await reach.validators_reach_us(public, config.executors_dial, wiring.clock())

"""Asks miners what they offer: connect, authenticate, hear the manifest, leave."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final

import structlog

from compute_horde_common.links.link import LinkError
from compute_horde_common.protocol.validator_miner import FinishedReceipt, Manifest
from validator.domain.routing import Miner
from validator.links.dialling import MinerDialler
from validator.links.office import Office
from validator.services.attempts import Farewell

CONNECT_SECONDS: Final = 5.0
MANIFEST_SECONDS: Final = 10.0
AT_ONCE: Final = 32

log = structlog.get_logger(__name__)


async def ask_all(
    miners: Iterable[Miner], office: Office, dialler: MinerDialler
) -> dict[str, Mapping[str, int] | None]:
    """What each miner says that it offers, by hotkey; ``None`` for one that does not answer."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def ask_in_turn(miner: Miner) -> tuple[str, Mapping[str, int] | None]:
        async with turn:
            return miner.hotkey, await ask(miner, office, dialler)

    return dict(await asyncio.gather(*(ask_in_turn(miner) for miner in miners)))


async def ask(miner: Miner, office: Office, dialler: MinerDialler) -> Mapping[str, int] | None:
    """What one miner says that it offers; ``None`` if it does not answer."""
    try:
        async with dialler.link(miner.host, miner.port, CONNECT_SECONDS) as link:
            await link.send(office.authentication(miner.hotkey))
            manifest = await link.expect(Manifest, within=MANIFEST_SECONDS)
    except LinkError as error:
        log.info("miner did not say what it offers", miner=miner.hotkey, reason=str(error))
        return None
    return manifest.manifest


async def say_farewell(farewell: Farewell, office: Office, dialler: MinerDialler) -> bool:
    """Sends a finished receipt that could not be sent in its time; whether it could be now."""
    receipt: FinishedReceipt = farewell.receipt
    try:
        async with dialler.link(farewell.host, farewell.port, CONNECT_SECONDS) as link:
            await link.send(office.authentication(farewell.miner_hotkey))
            await link.expect(Manifest, within=MANIFEST_SECONDS)
            await link.send(receipt)
    except LinkError as error:
        log.info("finished receipt not sent", miner=farewell.miner_hotkey, reason=str(error))
        return False
    return True

"""A validator for a moment: how a miner talks to itself as validators would."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

from compute_horde_common.clock import Clock
from compute_horde_common.links.link import Link, LinkClosed, LinkError
from compute_horde_common.links.websocket import dial
from compute_horde_common.protocol.base import Codec
from compute_horde_common.protocol.signatures import Signer, hex_signed
from compute_horde_common.protocol.validator_miner import (
    MAX_FRAME,
    Authenticate,
    GenericError,
    Manifest,
    MinerToValidator,
    UnauthorizedError,
    ValidatorToMiner,
    authentication_text,
)
from miner.wiring import address, dismiss_guest, new_guest

LET_IN_SECONDS: Final = 60
"""For how long the key is let in if nobody is left to dismiss it."""
CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 10.0
_CODEC: Final = Codec[MinerToValidator](MinerToValidator)

MinerLink = Link[MinerToValidator, ValidatorToMiner]


class Stranger(LinkError):
    """A miner answers there, and it is another one: it does not know the key that we let in."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A guest on its link, and what the miner said that it offers."""

    link: MinerLink
    guest: Signer
    manifest: Manifest


@asynccontextmanager
async def visit(url: str, clock: Clock) -> AsyncIterator[Visit]:
    """A link to the miner at ``url`` (ws://host:port), which is proved to be this one: only this
    one's Redis knows of the key that it lets in.

    Raises:
        RedisError: the key cannot be let in.
        Stranger: another miner answers.
        LinkError: no miner answers, or it does not speak as one.
    """
    guest = new_guest(LET_IN_SECONDS)
    try:
        where = f"{url.rstrip('/')}/v0.1/validator_interface/{guest.ss58}"
        async with dial(where, max_frame=MAX_FRAME, open_timeout=CONNECT_SECONDS) as pipe:
            link: MinerLink = Link(pipe, _CODEC, clock=clock)
            # Who refuses us may have hung up by now; why, was said before.
            with suppress(LinkClosed):
                await link.send(_authentication(guest, clock))
            answer = await link.expect(
                Manifest, UnauthorizedError, GenericError, within=ANSWER_SECONDS
            )
            if isinstance(answer, UnauthorizedError):
                raise Stranger(answer.details or answer.code)
            if isinstance(answer, GenericError):
                raise LinkError(answer.details or "it does not say why")
            yield Visit(link, guest, answer)
    finally:
        dismiss_guest(guest.ss58)


def _authentication(guest: Signer, clock: Clock) -> Authenticate:
    timestamp = int(clock.now().timestamp())
    text = authentication_text(guest.ss58, address(), timestamp)
    return Authenticate(
        validator_hotkey=guest.ss58,
        miner_hotkey=address(),
        timestamp=timestamp,
        signature=hex_signed(text, guest),
    )

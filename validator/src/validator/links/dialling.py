"""How the validator reaches its peers: addresses, frame limits, codecs."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from compute_horde_common.clock import Clock
from compute_horde_common.links.link import Link
from compute_horde_common.links.websocket import WebsocketPipe, dial
from compute_horde_common.protocol.base import Codec
from compute_horde_common.protocol.facilitator_validator import (
    CHALLENGE_FEATURE,
    MAX_FRAME_TO_VALIDATOR,
    FacilitatorToValidator,
    ValidatorToFacilitator,
)
from compute_horde_common.protocol.live import JOB_CONTROL
from compute_horde_common.protocol.validator_miner import MAX_FRAME, GenericError, MinerToValidator
from validator.links.miner import MinerLink

MINER_CODEC: Final = Codec[MinerToValidator](MinerToValidator)
FACILITATOR_CODEC: Final = Codec[FacilitatorToValidator](FacilitatorToValidator)
FACILITATOR_CONNECT_SECONDS: Final = 10.0
FACILITATOR_PING_SECONDS: Final = 20.0
LONGEST_COMPLAINT: Final = 500

FacilitatorLink = Link[FacilitatorToValidator, ValidatorToFacilitator]


@dataclass(frozen=True, slots=True)
class MinerDialler:
    """Opens links to miners, in the name of one validator."""

    own: str
    clock: Clock

    @asynccontextmanager
    async def job_link(
        self, host: str, port: int, job_uuid: str, within: float
    ) -> AsyncIterator[MinerLink]:
        """A link on which only one job's messages are heard.

        Raises:
            DialFailed: the miner does not answer within so many seconds.
        """
        async with self._pipe(host, port, within, JOB_CONTROL) as pipe:
            yield Link(
                pipe,
                MINER_CODEC,
                clock=self.clock,
                complain=complaint,
                relevant=lambda message: concerns(message, job_uuid),
                subprotocol=pipe.subprotocol,
            )

    @asynccontextmanager
    async def link(self, host: str, port: int, within: float) -> AsyncIterator[MinerLink]:
        """A link for anything but a job; errors as for `job_link`."""
        async with self._pipe(host, port, within) as pipe:
            yield Link(pipe, MINER_CODEC, clock=self.clock, complain=complaint)

    def _pipe(
        self, host: str, port: int, within: float, *offered: str
    ) -> AbstractAsyncContextManager[WebsocketPipe]:
        address = f"[{host}]" if ":" in host else host
        url = f"ws://{address}:{port}/v0.1/validator_interface/{self.own}"
        return dial(url, subprotocols=offered, max_frame=MAX_FRAME, open_timeout=within)


@asynccontextmanager
async def facilitator_link(
    url: str, versions: dict[str, str], clock: Clock
) -> AsyncIterator[tuple[FacilitatorLink, bool]]:
    """A link to the facilitator, and whether it will challenge us.

    Raises:
        DialFailed: it does not answer.
    """
    async with dial(
        url,
        headers=versions,
        subprotocols=[JOB_CONTROL, CHALLENGE_FEATURE],
        max_frame=MAX_FRAME_TO_VALIDATOR,
        open_timeout=FACILITATOR_CONNECT_SECONDS,
        ping_timeout=FACILITATOR_PING_SECONDS,
    ) as pipe:
        challenges = pipe.subprotocol in {JOB_CONTROL, CHALLENGE_FEATURE}
        link: FacilitatorLink = Link(
            pipe, FACILITATOR_CODEC, clock=clock, subprotocol=pipe.subprotocol
        )
        yield link, challenges


def complaint(reason: str) -> GenericError:
    """The answer to a frame that is no message."""
    return GenericError(details=reason[:LONGEST_COMPLAINT])


def concerns(message: MinerToValidator, job_uuid: str) -> bool:
    """Whether a message is about a job, or about none: miners also send those of other jobs."""
    about: object = getattr(message, "job_uuid", job_uuid)
    return about == job_uuid

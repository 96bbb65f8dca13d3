"""How a job ends on its miner because its author wants so: the miner is asked to end it, and has
`CANCEL_SECONDS` to report an ending, whichever it is. A miner that cannot be asked is not waited
for."""

import asyncio

import structlog

from compute_horde_common.clock import Clock
from compute_horde_common.jobs.failures import JobFailed
from compute_horde_common.jobs.timing import Deadline
from compute_horde_common.links.link import Link
from compute_horde_common.protocol.live import CANCEL_SECONDS, JOB_CONTROL, CancelJob
from compute_horde_common.protocol.validator_miner import MinerToValidator, ValidatorToMiner
from validator.domain.phases import Progress, cancelled

log = structlog.get_logger(__name__)


class Cancelling:
    """Listens to the miner of one job, cancelled or not, on one socket after another.

    Args:
        job_uuid: the job.
        wish: set once its author has cancelled it.
        clock: the time.
    """

    def __init__(self, job_uuid: str, wish: asyncio.Event, clock: Clock) -> None:
        self._job_uuid = job_uuid
        self._wish = wish
        self._clock = clock
        self._told: Link[MinerToValidator, ValidatorToMiner] | None = None
        self._until: Deadline | None = None

    @property
    def wanted(self) -> bool:
        """Whether the job is cancelled."""
        return self._wish.is_set()

    def limit(self, deadline: Deadline) -> Deadline:
        """Until when the miner is waited for, where ``deadline`` is that of a job which is not
        cancelled."""
        if not self.wanted:
            return deadline
        if self._until is None:
            self._until = Deadline.starting(self._clock.now(), CANCEL_SECONDS)
        return min(deadline, self._until, key=lambda each: each.at)

    async def hear(
        self, link: Link[MinerToValidator, ValidatorToMiner], progress: Progress
    ) -> MinerToValidator:
        """The miner's next message.

        Raises:
            JobFailed: the job is cancelled, and nobody can tell this miner.
            LinkTimeout: there is none within the limit.
            LinkClosed: the socket broke.
            TooMuchRubbish: the miner does not keep to the protocol.
        """
        if not self.wanted:
            message = await _receive_unless(self._wish, link, self._left(progress))
            if message is not None:
                return message
        if self._told is not link:
            await self._tell(link, progress)
        return await link.receive(within=self._left(progress))

    async def _tell(
        self, link: Link[MinerToValidator, ValidatorToMiner], progress: Progress
    ) -> None:
        if link.subprotocol != JOB_CONTROL:
            raise JobFailed(cancelled(progress.phase))
        await link.send(CancelJob(job_uuid=self._job_uuid))
        self._told = link
        log.info("miner asked to cancel", phase=progress.phase)

    def _left(self, progress: Progress) -> float:
        return self.limit(progress.deadline).left(self._clock.now())


async def _receive_unless(
    event: asyncio.Event, link: Link[MinerToValidator, ValidatorToMiner], within: float
) -> MinerToValidator | None:
    """The next message, or None if the event comes first. A pipe keeps a frame that arrives while
    its receiver is cancelled, so none is lost."""
    hearing = asyncio.create_task(link.receive(within=within))
    waiting = asyncio.create_task(event.wait())
    try:
        await asyncio.wait({hearing, waiting}, return_when=asyncio.FIRST_COMPLETED)
        return hearing.result() if hearing.done() else None
    finally:
        hearing.cancel()
        waiting.cancel()
        await asyncio.gather(hearing, waiting, return_exceptions=True)

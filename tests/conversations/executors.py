"""Executors of a real miner: one that keeps to a script, on the real third dialogue."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from enum import Enum, auto

from compute_horde_common.clock import Clock
from compute_horde_common.jobs.failures import HordeFailure, JobFailure
from compute_horde_common.links.link import Link, LinkClosed, Pipe
from compute_horde_common.protocol.base import Codec
from compute_horde_common.protocol.miner_executor import ExecutorToMiner, MinerToExecutor
from compute_horde_common.protocol.validator_miner import (
    ExecutionDone,
    ExecutorReady,
    HordeFailed,
    JobFailedReport,
    JobFinished,
    MachineSpecs,
    OfferJob,
    StartJob,
    StreamingReady,
    VolumesReady,
)
from miner.domain.slots import StartExecutor
from miner.links.executor import ExecutorConversation
from miner.models import Slot
from miner.services import executors
from tests.conversations.people import CLASS, MINER
from tests.conversations.sides import PATIENCE, Side, at
from tests.conversations.wires import Line
from validator.domain.phases import Phase

ADDRESS = "192.0.2.7"
PORT = 6006
Words = Callable[[str], Sequence[ExecutorToMiner]]
WORDS: dict[Phase, Words] = {
    Phase.READINESS: lambda uuid: [ExecutorReady(job_uuid=uuid)],
    Phase.VOLUMES: lambda uuid: [VolumesReady(job_uuid=uuid)],
    Phase.STREAMING: lambda uuid: [StreamingReady(job_uuid=uuid, public_key="pem", port=PORT)],
    Phase.EXECUTION: lambda uuid: [ExecutionDone(job_uuid=uuid)],
    Phase.FINAL: lambda uuid: [
        MachineSpecs(job_uuid=uuid, specs={"specs": {}}),
        JobFinished(job_uuid=uuid, docker_process_stdout="ż\0", docker_process_stderr="err"),
    ],
}
"""What an executor says to bring each phase of a streaming job to its end."""


class Ending(Enum):
    """How an executor leaves before its job is done."""

    LOST = auto()


Trouble = JobFailure | HordeFailure | Ending


def executor_line(token: str, clock: Clock) -> Line:
    """By which the executor with a token dials the miner."""

    async def answer(pipe: Pipe) -> None:
        await ExecutorConversation(pipe, token, ADDRESS, MINER, clock).hold()

    return Line(Side.MINER, answer)


def make_slots(count: int) -> None:
    """The miner offers so many executors."""
    executors.ensure_slots({CLASS: count})


def plan_executor(index: int, token: str, clock: Clock) -> None:
    """What the miner's fleet does before it starts an executor in one of its slots."""
    slot = Slot.objects.get(index=index)
    planned = StartExecutor(slot.id, slot.executor_class, None)
    assert executors.plan_start(planned, token=token, manager="none", at=clock.now())


def free_slots() -> int:
    """How many slots no job has."""
    return Slot.objects.filter(lease=None).count()


class ScriptedExecutor:
    """Plays an executor: says its lines up to a phase in which there is trouble, if any."""

    def __init__(
        self, clock: Clock, trouble_in: Phase | None = None, trouble: Trouble = Ending.LOST
    ) -> None:
        self._clock = clock
        self._trouble_in = trouble_in
        self._trouble = trouble

    @asynccontextmanager
    async def running(self, index: int = 0) -> AsyncIterator[None]:
        """Waits warm in a slot; at the end of the block it is gone, as the fleet notices."""
        token = f"token-{index}"
        await at(Side.MINER, plan_executor)(index, token, self._clock)
        line = executor_line(token, self._clock)
        playing = asyncio.create_task(self._play(line))
        await line.opened()
        try:
            yield
            await asyncio.wait_for(playing, PATIENCE)
        finally:
            playing.cancel()
            await asyncio.wait({playing})
            await at(Side.MINER, executors.gone)(token, self._clock.now())

    async def _play(self, line: Line) -> None:
        async with line.dial() as pipe:
            link: Link[MinerToExecutor, ExecutorToMiner] = Link(
                pipe, Codec(MinerToExecutor), clock=self._clock
            )
            try:
                await self._say_all(link)
            except LinkClosed:
                return

    async def _say_all(self, link: Link[MinerToExecutor, ExecutorToMiner]) -> None:
        offer = await link.expect(OfferJob, within=3600)
        for phase, words in WORDS.items():
            if phase is self._trouble_in:
                await self._make_trouble(offer.job_uuid, link)
                return
            if phase is Phase.STREAMING and offer.streaming_details is None:
                continue
            for word in words(offer.job_uuid):
                await link.send(word)
            if phase is Phase.READINESS:
                await link.expect(StartJob, within=3600)

    async def _make_trouble(self, uuid: str, link: Link[MinerToExecutor, ExecutorToMiner]) -> None:
        match self._trouble:
            case JobFailure():
                await link.send(JobFailedReport.of(uuid, self._trouble))
            case HordeFailure():
                await link.send(HordeFailed.of(uuid, self._trouble))
            case Ending.LOST:
                await link.close()

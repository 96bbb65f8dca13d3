"""A miner and one of its executors, linked: real ends, real rows."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import BaseModel

from compute_horde_common.clock import Clock
from compute_horde_common.containers.interface import ContainerEngine
from compute_horde_common.links.link import Link, Pipe
from compute_horde_common.protocol.base import Codec, encode
from compute_horde_common.protocol.miner_executor import ExecutorToMiner, MinerToExecutor
from compute_horde_common.protocol.receipts import JobFinishedReceiptPayload, sign_receipt
from compute_horde_common.protocol.validator_miner import (
    ExecutorReady,
    FinishedReceipt,
    GenericError,
    HordeFailed,
    StartJob,
)
from executor.config import ExecutorConfig
from executor.links.bench import Bench
from executor.links.miner import serve_miner
from miner.domain.slots import ExecutorState
from miner.models import Executor, JobMessage
from miner.services import jobs
from tests.conversations.executors import executor_line, make_slots, plan_executor
from tests.conversations.people import CLASS, MINER, VALIDATOR, a_spec
from tests.conversations.sides import PATIENCE, Side, at, until
from tests.conversations.wires import Line
from validator.domain.assignments import WORTHLESS, JobCase
from validator.domain.phases import Budget
from validator.services import attempts

TOKEN = "token"
JOB = "0c8f3d52-5d0e-4c3c-9f6b-2a51a2f0b7aa"
IMAGE = "compute-horde-conversation-test:latest"
GENERIC_ERROR = '"GenericError"'
OWNER = "conversation-tests"


class Workshop:
    """A miner with one slot and one executor, linked; the validator's frames come from rows."""

    def __init__(self, clock: Clock, engine: ContainerEngine, work_dir: Path) -> None:
        self.clock = clock
        self.line = executor_line(TOKEN, clock)
        self._bench = Bench(
            ExecutorConfig(
                miner_address="ws://unused",
                token=TOKEN,
                owner=OWNER,
                work_dir=work_dir,
                memory_bytes=64 << 20,
            ),
            engine,
            clock,
        )

    async def serve(self, line: Line | None = None) -> None:
        """What an executor's process does, until it ends; errors as of `serve_miner`."""
        async with (line or self.line).dial() as pipe:
            link: Link[MinerToExecutor, ExecutorToMiner] = Link(
                pipe, Codec(MinerToExecutor), clock=self.clock, complain=_complaint
            )
            await serve_miner(link, self._bench)

    @asynccontextmanager
    async def serving(self) -> "AsyncIterator[asyncio.Task[None]]":
        """An executor that waits; it must have ended at the end of the block."""
        serving = asyncio.create_task(self.serve())
        try:
            await until(Side.MINER, lambda: executor_state() == ExecutorState.WAITING)
            yield serving
            await asyncio.wait_for(asyncio.wait({serving}), PATIENCE)
        finally:
            serving.cancel()
            await asyncio.wait({serving})

    async def offer(self) -> None:
        """The validator offers the job."""
        spec = a_spec(docker_image=IMAGE)
        budget = Budget.of(spec, reservation=7, startup=10)
        offer = attempts.signed_offer(
            JobCase(JOB, spec), MINER.ss58, budget, VALIDATOR, self.clock.now()
        )
        await at(Side.MINER, jobs.take)(
            offer, encode(offer), validator=VALIDATOR.ss58, socket="x", at=self.clock.now()
        )

    async def start(self, *command: str) -> None:
        """The validator sends the job."""
        await until(Side.MINER, executor_is_ready)
        start = attempts.signed_start(a_start(*command), VALIDATOR)
        fault = await at(Side.MINER, jobs.start)(
            start, encode(start), validator=VALIDATOR.ss58, at=self.clock.now()
        )
        assert fault is None

    async def say(self, message: BaseModel | str, *, from_miner: bool) -> None:
        """A frame that neither end would say, said to the other in its name."""
        wire = await self.line.opened()
        end: Pipe = wire.answering if from_miner else wire.dialling
        await end.send_text(message if isinstance(message, str) else encode(message))

    async def complained(self) -> None:
        """Returns once the miner has complained about what was said."""
        wire = await self.line.opened()
        async with asyncio.timeout(PATIENCE):
            while GENERIC_ERROR not in "".join(wire.answered):  # noqa: ASYNC110 - a list
                await asyncio.sleep(0)

    async def give_up(self) -> None:
        """The validator is done with the job before it has ended."""
        now = self.clock.now()
        payload = JobFinishedReceiptPayload(
            job_uuid=JOB,
            miner_hotkey=MINER.ss58,
            validator_hotkey=VALIDATOR.ss58,
            timestamp=now,
            time_started=now,
            time_took_us=0,
            score_str=WORTHLESS,
        )
        receipt = FinishedReceipt(payload=payload, signature=sign_receipt(payload, VALIDATOR))
        await at(Side.MINER, jobs.close)(receipt, validator=VALIDATOR.ss58, at=now)

    async def ready(self) -> "Workshop":
        """The miner has its slot, and its executor may connect."""
        await at(Side.MINER, make_slots)(1)
        await at(Side.MINER, plan_executor)(0, TOKEN, self.clock)
        return self


def _complaint(reason: str) -> GenericError:
    return GenericError(details=reason)


def a_start(*command: str) -> StartJob:
    return StartJob(
        job_uuid=JOB,
        executor_class=CLASS,
        docker_image=IMAGE,
        docker_run_options_preset="none",
        docker_run_cmd=list(command) or ["echo", "ż"],
    )


def _kinds() -> list[str]:
    return list(JobMessage.objects.order_by("position").values_list("kind", flat=True))


def executor_state() -> str:
    """Where the executor is, as its miner has it."""
    return Executor.objects.get(token=TOKEN).state


def executor_is_ready() -> bool:
    """Whether the executor has asked for its job."""
    return ExecutorReady.__name__ in _kinds()


def job_has_failed() -> bool:
    """Whether the validator is told that the network failed its job."""
    return HordeFailed.__name__ in _kinds()


def _messages() -> list[tuple[str, str]]:
    return list(JobMessage.objects.order_by("position").values_list("kind", "text"))


async def said() -> list[str]:
    """Of which kinds the messages are that the validator gets, in order."""
    return await at(Side.MINER, _kinds)()


async def last_words() -> str:
    """The last of the messages that the validator gets."""
    return (await at(Side.MINER, _messages)())[-1][1]

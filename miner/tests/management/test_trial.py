"""A self-test's job, on a miner that says what a test tells it to."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from compute_horde_common.chain.keys import Hotkey, verify
from compute_horde_common.clock import HandWoundClock
from compute_horde_common.jobs.failures import RejectionReason
from compute_horde_common.links.link import Link, Pipe
from compute_horde_common.links.memory import pipe_pair
from compute_horde_common.protocol.base import Codec, encode
from compute_horde_common.protocol.receipts import receipt_verified
from compute_horde_common.protocol.validator_miner import (
    AcceptedReceipt,
    AcceptJob,
    DeclineJob,
    ExecutionDone,
    ExecutorReady,
    FinishedReceipt,
    GenericError,
    HordeFailed,
    JobFailedReport,
    JobFinished,
    MachineSpecs,
    MinerToValidator,
    OfferJob,
    StartJob,
    ValidatorToMiner,
    VolumesReady,
)
from miner.management.frames import Frames, TrialJob
from miner.management.trial import Trial, TrialFailed

UUID = "6f5a2b1c-0d3e-4f60-8a7b-9c0d1e2f3a4b"
WORD = "self-test-0123"
GUEST = Hotkey.from_uri("//Ferdie")
MINER = Hotkey.from_uri("//Bob").ss58
FINISHED = JobFinished(job_uuid=UUID, docker_process_stdout=f"{WORD}\n", docker_process_stderr="")
WELL: tuple[MinerToValidator, ...] = (
    AcceptJob(job_uuid=UUID),
    ExecutorReady(job_uuid=UUID),
    VolumesReady(job_uuid=UUID),
    ExecutionDone(job_uuid=UUID),
    MachineSpecs(job_uuid=UUID, specs={}),
    FINISHED,
)


@dataclass
class Stand:
    """A trial, and the miner's end of its link."""

    trial: Trial
    pipe: Pipe
    clock: HandWoundClock
    told: list[tuple[float, str]] = field(default_factory=list)

    async def run(self, *answers: MinerToValidator) -> None:
        """The trial, to its end; all answers are there before the questions."""
        for answer in answers:
            await self.pipe.send_text(encode(answer))
        await self.trial.run()

    async def heard(self) -> list[ValidatorToMiner]:
        """What the miner heard."""
        await self.pipe.close()
        link: Link[ValidatorToMiner, MinerToValidator] = Link(
            self.pipe, Codec(ValidatorToMiner), clock=self.clock
        )
        return [message async for message in link]


@pytest.fixture
async def stand(hand_wound_clock: HandWoundClock) -> AsyncIterator[Stand]:
    theirs, ours = pipe_pair()
    link: Link[MinerToValidator, ValidatorToMiner] = Link(
        ours, Codec(MinerToValidator), clock=hand_wound_clock
    )
    job = TrialJob(UUID, "always_on.test", "busybox:1", 60, WORD)
    told: list[tuple[float, str]] = []
    frames = Frames(job, MINER, GUEST)
    trial = Trial(frames, link, hand_wound_clock, lambda *what: told.append(what))
    yield Stand(trial, theirs, hand_wound_clock, told)
    await theirs.close()


async def test_a_job_that_goes_well_is_told_by_stages(stand: Stand) -> None:
    await stand.run(*WELL)

    stages = ["offer", "executor", "inputs", "execution", "result"]
    assert stand.told == [(0.0, stage) for stage in stages]
    heard = [type(message) for message in await stand.heard()]
    assert heard == [OfferJob, AcceptedReceipt, StartJob, FinishedReceipt]


async def test_its_receipts_are_good_and_count_for_nothing(stand: Stand) -> None:
    await stand.run(*WELL)

    offer, accepted, start, finished = await stand.heard()
    assert isinstance(offer, OfferJob)
    assert isinstance(accepted, AcceptedReceipt)
    assert isinstance(start, StartJob)
    assert isinstance(finished, FinishedReceipt)
    assert offer.job_started_receipt_payload.is_organic is False
    assert finished.payload.score_str == "0.000000"
    for payload, signature in (
        (offer.job_started_receipt_payload, offer.job_started_receipt_signature),
        (accepted.payload, accepted.signature),
        (finished.payload, finished.signature),
    ):
        assert receipt_verified(payload, GUEST.ss58, signature, verify)


async def test_the_job_is_an_echo_and_is_signed(stand: Stand) -> None:
    await stand.run(*WELL)

    start = (await stand.heard())[2]
    assert isinstance(start, StartJob)
    assert (start.docker_image, start.docker_run_cmd) == ("busybox:1", ["echo", WORD])
    assert start.validator_signature is not None


@pytest.mark.parametrize(
    ("before", "answer", "reason"),
    [
        (
            0,
            DeclineJob(job_uuid=UUID, reason=RejectionReason.BUSY, message="no executor is free"),
            "offer: declined, busy: no executor is free. Try again when a job has ended",
        ),
        (
            0,
            DeclineJob(job_uuid=UUID, reason="invalid_receipt", message="too old"),
            "offer: declined, invalid_receipt: too old",
        ),
        (0, GenericError(details="what?"), "offer: what?"),
        (
            1,
            HordeFailed(
                job_uuid=UUID,
                reported_by="miner",
                reason="executor_spinup_failed",
                message="the executor did not come up",
            ),
            "executor: executor_spinup_failed, as the miner reports: the executor did not come up",
        ),
        (
            3,
            JobFailedReport(
                job_uuid=UUID,
                reason="nonzero_return_code",
                stage="execution",
                message="exit status 127",
                docker_process_stderr="echo: not found\n",
            ),
            "execution: nonzero_return_code at execution: exit status 127 echo: not found",
        ),
    ],
)
async def test_a_job_that_goes_wrong_is_told_with_stage_and_reason(
    stand: Stand, before: int, answer: MinerToValidator, reason: str
) -> None:
    with pytest.raises(TrialFailed) as failed:
        await stand.run(*WELL[:before], answer)

    assert str(failed.value) == reason
    assert isinstance((await stand.heard())[-1], FinishedReceipt)


async def test_a_job_that_prints_something_else_fails(stand: Stand) -> None:
    other = FINISHED.model_copy(update={"docker_process_stdout": "something else\n"})

    with pytest.raises(TrialFailed) as failed:
        await stand.run(*WELL[:-1], other)

    assert str(failed.value) == f"result: the job printed 'something else\\n' in place of '{WORD}'"


async def test_a_miner_that_falls_silent_is_waited_for_until_the_limit(stand: Stand) -> None:
    running = asyncio.ensure_future(stand.run(*WELL[:2]))
    await stand.clock.advance(60)

    with pytest.raises(TrialFailed) as failed:
        await running

    assert str(failed.value) == "inputs: nothing more was heard until the limit of 60 s"
    assert isinstance((await stand.heard())[-1], FinishedReceipt)


async def test_a_miner_that_hangs_up_is_told(stand: Stand) -> None:
    running = asyncio.ensure_future(stand.run(*WELL[:3]))
    await stand.clock.advance(1)
    await stand.pipe.close(1011, "out of order")

    with pytest.raises(TrialFailed) as failed:
        await running

    assert str(failed.value) == "execution: link closed: code 1011, out of order"

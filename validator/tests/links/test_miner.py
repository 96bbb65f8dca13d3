import asyncio
import json
from dataclasses import replace
from datetime import datetime

import pytest

from compute_horde_common.chain.keys import Hotkey, verify
from compute_horde_common.clock import HandWoundClock
from compute_horde_common.jobs.failures import (
    HordeFailureReason,
    JobFailure,
    JobFailureReason,
    RejectionReason,
    Stage,
)
from compute_horde_common.jobs.lifecycle import PROGRESS, JobStatus
from compute_horde_common.jobs.timing import Deadline
from compute_horde_common.protocol.base import encode
from compute_horde_common.protocol.facilitator_validator import StatusMetadata, StreamingServer
from compute_horde_common.protocol.receipts import receipt_verified
from compute_horde_common.protocol.signatures import hex_verified, request_text
from compute_horde_common.protocol.validator_miner import (
    TRUSTED_MINER_HOTKEY,
    AcceptedReceipt,
    DeclineJob,
    GenericError,
    HordeFailed,
    JobFailedReport,
    JobFinished,
    LegacyExecutorFailed,
    OfferJob,
    StartJob,
    UnauthorizedError,
)
from tests.links.scripted import ListDesk, MemoryDial, PassTime, Redial, outcome, running
from validator.domain.assignments import Assignment
from validator.domain.phases import REACHED, TIMED_OUT, Phase, Progress
from validator.links.miner import CONNECT_TRIES

UUID_TEXT = "00000000-0000-0000-0000-000000000007"
PATIENCE = 5.0
EVERY_STATUS = [*PROGRESS[2:], JobStatus.COMPLETED]


async def test_a_job_goes_through_every_status(
    job: Assignment, dial: MemoryDial, desk: ListDesk
) -> None:
    async with running(job, dial, desk) as task:
        miner = await dial.socket()
        await miner.greet()
        await miner.say(*Phase)
        await miner.farewell()
        await asyncio.wait_for(task, PATIENCE)

    assert desk.statuses == EVERY_STATUS
    assert desk.farewells == 1


async def test_what_the_miner_is_given_is_signed_and_complete(
    job: Assignment, dial: MemoryDial, desk: ListDesk, alice: Hotkey
) -> None:
    async with running(job, dial, desk):
        miner = await dial.socket()
        offer = await miner.greet()
        await miner.say(Phase.RESERVATION, Phase.READINESS)
        accepted = await miner.link.expect(AcceptedReceipt, within=PATIENCE)
        start = await miner.link.expect(StartJob, within=PATIENCE)

    assert offer.timeout_seconds == 300
    assert offer.executor_timing is not None
    assert (start.docker_run_cmd, start.env, start.volume) == (["true"], {"A": "1"}, None)
    assert start.docker_run_options_preset == "none"
    assert accepted.payload.ttl == 3 + 10 + 5 + 10 + 40 + 20 + 30
    assert receipt_verified(accepted.payload, alice.ss58, accepted.signature, verify)
    assert all(_is_signed(frame, alice.ss58) for frame in (offer, start))


def _is_signed(frame: OfferJob | StartJob, ss58: str) -> bool:
    text = request_text(json.loads(encode(frame)))
    return hex_verified(ss58, text, frame.validator_signature or "", verify)


async def test_a_completed_job_is_paid_for(
    job: Assignment, dial: MemoryDial, desk: ListDesk, alice: Hotkey
) -> None:
    async with running(job, dial, desk):
        miner = await dial.socket()
        await miner.greet()
        await miner.say(*Phase)
        receipt = await miner.farewell()

    assert (receipt.payload.score_str, receipt.payload.block_numbers) == ("60.000000", [])
    assert receipt_verified(receipt.payload, alice.ss58, receipt.signature, verify)


async def test_the_trusted_miner_is_not_paid(job: Assignment) -> None:
    assert replace(job, miner_hotkey=TRUSTED_MINER_HOTKEY).score == "0.000000"


async def test_the_streaming_address_is_reported(
    job: Assignment, dial: MemoryDial, desk: ListDesk
) -> None:
    async with running(job, dial, desk):
        miner = await dial.socket()
        await miner.greet()
        await miner.say(*Phase)
        await miner.farewell()

    server = StreamingServer(
        streaming_server_cert="pem",
        streaming_server_address="192.0.2.9",
        streaming_server_port=6006,
    )
    told = desk.metadata[EVERY_STATUS.index(JobStatus.STREAMING_READY)]
    assert told == StatusMetadata(streaming_details=server)


@pytest.mark.parametrize("phase", Phase)
async def test_a_silent_miner_runs_into_the_limit_of_its_phase(
    job: Assignment,
    dial: MemoryDial,
    desk: ListDesk,
    hand_wound_clock: HandWoundClock,
    phase: Phase,
) -> None:
    async with running(job, dial, desk) as task:
        miner = await dial.socket()
        await miner.greet()
        await miner.say_until(phase)
        await hand_wound_clock.advance(1000)

        assert await outcome(task) == TIMED_OUT[phase]
        assert (await miner.farewell()).payload.score_str == "0.000000"


@pytest.mark.parametrize("phase", Phase)
async def test_a_failure_counts_in_every_phase(
    job: Assignment, dial: MemoryDial, desk: ListDesk, phase: Phase
) -> None:
    async with running(job, dial, desk) as task:
        miner = await dial.socket()
        await miner.greet()
        await miner.say_until(phase)
        await miner.link.send(
            HordeFailed(
                job_uuid=UUID_TEXT,
                reported_by="miner",
                message="gone",
                reason="executor_disconnected",
            )
        )

        assert await outcome(task) == HordeFailureReason.EXECUTOR_DISCONNECTED
        assert (await miner.farewell()).payload.score_str == "0.000000"
    assert desk.statuses == [
        REACHED[earlier] for earlier in list(Phase)[: list(Phase).index(phase)]
    ]


async def test_a_job_failure_is_passed_on_whole(
    job: Assignment, dial: MemoryDial, desk: ListDesk
) -> None:
    failure = JobFailure(
        reason=JobFailureReason.NONZERO_RETURN_CODE,
        stage=Stage.EXECUTION,
        message="exit 3",
        docker_process_exit_status=3,
        docker_process_stdout="out",
        docker_process_stderr="err",
    )
    async with running(job, dial, desk) as task:
        miner = await dial.socket()
        await miner.greet()
        await miner.say_until(Phase.EXECUTION)
        await miner.link.send(JobFailedReport.of(UUID_TEXT, failure))
        await outcome(task)

    assert desk.failures == [failure]


async def test_a_decline_is_the_miners_rejection(
    job: Assignment, dial: MemoryDial, desk: ListDesk
) -> None:
    async with running(job, dial, desk) as task:
        miner = await dial.socket()
        await miner.greet()
        await miner.link.send(DeclineJob(job_uuid=UUID_TEXT, reason="busy", message="full"))

        assert await outcome(task) == RejectionReason.BUSY
        assert (await miner.farewell()).payload.score_str == "0.000000"
    assert desk.failures[0].model_dump()["rejected_by"] == "miner"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (LegacyExecutorFailed(job_uuid=UUID_TEXT), HordeFailureReason.GENERIC_ERROR),
        (
            UnauthorizedError(code="UNKNOWN_VALIDATOR"),
            HordeFailureReason.MINER_CONNECTION_FAILED,
        ),
    ],
)
async def test_other_words_for_no_are_understood(
    job: Assignment,
    dial: MemoryDial,
    desk: ListDesk,
    message: LegacyExecutorFailed | UnauthorizedError,
    reason: HordeFailureReason,
) -> None:
    async with running(job, dial, desk) as task:
        miner = await dial.socket()
        await miner.greet()
        await miner.link.send(message)

        assert await outcome(task) == reason


async def test_a_miner_that_cannot_be_reached_is_tried_a_few_times(
    job: Assignment, dial: MemoryDial, desk: ListDesk, pass_time: PassTime
) -> None:
    dial.broken = True
    async with running(job, dial, desk) as task:
        await pass_time(task)

        assert await outcome(task) == HordeFailureReason.MINER_CONNECTION_FAILED
    assert dial.tries == CONNECT_TRIES
    assert (len(desk.abandoned), desk.failures) == (1, [])


@pytest.mark.parametrize("phase", Phase)
async def test_a_broken_socket_does_not_end_a_job(
    job: Assignment,
    dial: MemoryDial,
    desk: ListDesk,
    redial: Redial,
    phase: Phase,
) -> None:
    async with running(job, dial, desk) as task:
        first = await dial.socket()
        offer = await first.greet()
        await first.say_until(phase)
        await first.link.close()
        second = await redial()

        assert await second.greet() == offer
        await second.say(*Phase)
        await second.farewell()
        await asyncio.wait_for(task, PATIENCE)
    assert desk.statuses == EVERY_STATUS


@pytest.mark.parametrize("phase", Phase)
async def test_a_miner_that_stays_away_runs_into_the_limit_of_its_phase(
    job: Assignment, dial: MemoryDial, desk: ListDesk, pass_time: PassTime, phase: Phase
) -> None:
    async with running(job, dial, desk) as task:
        miner = await dial.socket()
        await miner.greet()
        await miner.say_until(phase)
        dial.broken = True
        await miner.link.close()
        await pass_time(task)

        assert await outcome(task) == TIMED_OUT[phase]
    assert (len(desk.failures), desk.farewells) == (1, 0)


async def test_the_job_is_sent_again_when_the_socket_broke_after_it(
    job: Assignment, dial: MemoryDial, desk: ListDesk, redial: Redial
) -> None:
    async with running(job, dial, desk):
        first = await dial.socket()
        await first.greet()
        await first.say_until(Phase.VOLUMES)
        await first.link.close()
        second = await redial()
        await second.greet()

        assert await second.link.expect(StartJob, within=PATIENCE)


async def test_a_restart_goes_on_from_the_phase_in_the_row(
    job: Assignment, dial: MemoryDial, desk: ListDesk, at: datetime
) -> None:
    waiting = replace(job, progress=Progress(Phase.EXECUTION, Deadline.starting(at, 20)))
    async with running(waiting, dial, desk) as task:
        miner = await dial.socket()
        await miner.greet()
        await miner.say(*Phase)
        await miner.farewell()
        await asyncio.wait_for(task, PATIENCE)

    assert desk.statuses == [JobStatus.EXECUTION_DONE, JobStatus.COMPLETED]


async def test_a_restart_long_after_the_deadline_closes_the_job(
    job: Assignment, dial: MemoryDial, desk: ListDesk, at: datetime, pass_time: PassTime
) -> None:
    overdue = replace(job, progress=Progress(Phase.FINAL, Deadline.starting(at, -1)))
    dial.broken = True
    async with running(overdue, dial, desk) as task:
        await pass_time(task)

        assert await outcome(task) == HordeFailureReason.FINAL_RESPONSE_TIMED_OUT


async def test_messages_that_come_early_are_kept_for_their_phase(
    job: Assignment, dial: MemoryDial, desk: ListDesk
) -> None:
    async with running(job, dial, desk):
        miner = await dial.socket()
        await miner.greet()
        await miner.say(*reversed(Phase))
        await miner.farewell()

    assert desk.statuses == EVERY_STATUS


async def test_messages_about_other_jobs_are_not_heard(
    job: Assignment, dial: MemoryDial, desk: ListDesk, hand_wound_clock: HandWoundClock
) -> None:
    async with running(job, dial, desk) as task:
        miner = await dial.socket()
        await miner.greet()
        await miner.say(Phase.RESERVATION, uuid="00000000-0000-0000-0000-000000000008")
        await hand_wound_clock.advance(8)

        assert await outcome(task) == HordeFailureReason.INITIAL_RESPONSE_TIMED_OUT


async def test_a_generic_error_ends_nothing(
    job: Assignment, dial: MemoryDial, desk: ListDesk
) -> None:
    async with running(job, dial, desk):
        miner = await dial.socket()
        await miner.greet()
        await miner.link.send(GenericError(details="what?"))
        await miner.say(*Phase)
        await miner.farewell()

    assert desk.statuses == EVERY_STATUS


async def test_a_result_larger_than_the_facilitator_takes_fails_the_job(
    job: Assignment, dial: MemoryDial, desk: ListDesk
) -> None:
    async with running(job, dial, desk) as task:
        miner = await dial.socket()
        await miner.greet()
        await miner.say_until(Phase.FINAL)
        await miner.link.send(_large_result())

        assert await outcome(task) == JobFailureReason.UPLOAD_FAILED


def _large_result() -> JobFinished:
    return JobFinished(
        job_uuid=UUID_TEXT, docker_process_stdout="x" * (17 << 20), docker_process_stderr=""
    )


async def test_the_manifest_of_the_conversation_is_noted(
    job: Assignment, dial: MemoryDial, desk: ListDesk
) -> None:
    async with running(job, dial, desk):
        miner = await dial.socket()
        await miner.greet()
        await miner.say_until(Phase.READINESS)

    assert [seen.manifest for seen in desk.manifests] == [{"always_on.test": 2}]

import asyncio
import json
from dataclasses import replace

import pytest

from compute_horde_common.chain.keys import Hotkey, verify
from compute_horde_common.clock import HandWoundClock
from compute_horde_common.contrib.django.models import StoredReceipt
from compute_horde_common.jobs.failures import (
    HordeFailure,
    HordeFailureReason,
    JobFailed,
    JobFailure,
    JobFailureReason,
    Participant,
    Rejection,
    RejectionReason,
    Stage,
)
from compute_horde_common.protocol.facilitator_validator import StatusMetadata
from compute_horde_common.protocol.receipts import Receipt, receipt_verified
from compute_horde_common.protocol.signatures import hex_verified
from compute_horde_common.protocol.validator_miner import DeclineJob
from miner.models import BlacklistedValidator
from tests.conversations.executors import (
    ADDRESS,
    PORT,
    WORDS,
    Ending,
    ScriptedExecutor,
    Trouble,
    free_slots,
)
from tests.conversations.people import MINER, VALIDATOR
from tests.conversations.sides import Side, as_side, at, until
from tests.conversations.subnet import (
    STREAMING,
    LineDialler,
    Subnet,
    attempt_of,
    miners_job,
    reached,
    receipts,
    result,
    statuses,
)
from tests.conversations.wires import Damage, HastyClock
from validator.domain.assignments import WORTHLESS, Assignment
from validator.domain.phases import REACHED, TIMED_OUT, Phase
from validator.links.supervision import say_farewells

EVERY_STATUS = ["received", *(status.value for status in REACHED.values())]
EVERY_RECEIPT = {"JobStartedReceipt", "JobAcceptedReceipt", "JobFinishedReceipt"}
EXECUTORS_PHASES = list(WORDS)
FRAMES = 13
"""Of both ends in a streaming job, from the authentication to the finished receipt, which is the
last."""
JOB_FAILURE = JobFailure(
    reason=JobFailureReason.NONZERO_RETURN_CODE,
    stage=Stage.EXECUTION,
    message="exit 3",
    docker_process_exit_status=3,
    docker_process_stdout="out",
)
HORDE_FAILURE = HordeFailure(
    reported_by=Participant.EXECUTOR,
    reason=HordeFailureReason.SECURITY_CHECK_FAILED,
    message="bad",
)


async def fails(subnet: Subnet, job: Assignment) -> Rejection | JobFailure | HordeFailure:
    with pytest.raises(JobFailed) as failed:
        await subnet.run(job)
    return failed.value.failure


async def test_a_job_goes_through_every_status() -> None:
    subnet = await Subnet(HastyClock()).ready()
    job = await subnet.assigned(streaming_details=STREAMING)

    async with ScriptedExecutor(subnet.clock).running():
        await subnet.run(job)

    wire = subnet.line.wires[0]
    assert await statuses(job) == EVERY_STATUS
    assert len(wire.dialled) + len(wire.answered) == FRAMES


async def test_the_result_arrives_as_the_executor_said_it() -> None:
    subnet = await Subnet(HastyClock()).ready()
    job = await subnet.assigned()

    async with ScriptedExecutor(subnet.clock).running():
        await subnet.run(job)

    response = StatusMetadata.model_validate_json(await result(job)).miner_response
    assert response is not None
    assert (response.docker_process_stdout, response.docker_process_stderr) == ("ż\0", "err")


async def test_the_streaming_address_is_reported() -> None:
    subnet = await Subnet(HastyClock()).ready()
    job = await subnet.assigned(streaming_details=STREAMING)

    async with ScriptedExecutor(subnet.clock).running():
        await subnet.run(job)

    assert f'"{ADDRESS}","port":{PORT}' in "".join(subnet.line.wires[0].answered)


async def test_the_finished_receipt_closes_the_job_and_the_slot_is_free() -> None:
    subnet = await Subnet(HastyClock()).ready()
    job = await subnet.assigned()

    async with ScriptedExecutor(subnet.clock).running():
        await subnet.run(job)

    theirs, ours = await miners_job(job), await attempt_of(job)
    assert (theirs.outcome, theirs.closed_at is not None) == ("finished", True)
    assert (ours.outcome, ours.farewell) == ("completed", "")
    assert await at(Side.MINER, free_slots)() == 1


async def test_both_sides_have_the_same_receipts_and_they_verify() -> None:
    subnet = await Subnet(HastyClock()).ready()
    job = await subnet.assigned()

    async with ScriptedExecutor(subnet.clock).running():
        await subnet.run(job)

    ours, theirs = await receipts(Side.VALIDATOR, job), await receipts(Side.MINER, job)
    assert set(ours) == set(theirs) == EVERY_RECEIPT
    for kind, receipt in theirs.items():
        assert receipt.payload == ours[kind].payload
        assert receipt.validator_signature == ours[kind].validator_signature
        assert signed_by(VALIDATOR, receipt.payload, receipt.validator_signature)
        assert signed_by(MINER, receipt.payload, receipt.miner_signature)


def signed_by(who: Hotkey, payload: str, signature: str | None) -> bool:
    return hex_verified(who.ss58, payload, signature or "", verify)


async def test_a_busy_miner_shows_the_receipts_that_excuse_it() -> None:
    subnet = await Subnet(HastyClock()).ready()
    first, second = await subnet.assigned(), await subnet.assigned(args=["other"])
    await subnet.run_until_accepted(first)

    failure = await fails(subnet, second)

    assert failure.reason == RejectionReason.BUSY
    (excuse,) = declined(subnet).receipts
    assert excuse.payload.job_uuid == first.case.uuid
    assert verified(excuse)


def declined(subnet: Subnet) -> DeclineJob:
    frames = [frame for wire in subnet.line.wires for frame in wire.answered]
    (found,) = [frame for frame in frames if json.loads(frame)["message_type"] == DECLINE]
    return DeclineJob.model_validate_json(found)


DECLINE = DeclineJob.model_fields["message_type"].default


def verified(receipt: Receipt) -> bool:
    by_validator = receipt_verified(
        receipt.payload, VALIDATOR.ss58, receipt.validator_signature, verify
    )
    return by_validator and receipt_verified(
        receipt.payload, MINER.ss58, receipt.miner_signature, verify
    )


async def test_a_miner_declines_who_is_blacklisted() -> None:
    subnet = await Subnet(HastyClock()).ready()
    await at(Side.MINER, BlacklistedValidator.objects.create)(hotkey=VALIDATOR.ss58)

    failure = await fails(subnet, await subnet.assigned())

    assert failure.reason == RejectionReason.VALIDATOR_BLACKLISTED
    assert await at(Side.MINER, free_slots)() == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"validator_signature": "0x" + "0" * 128}, RejectionReason.INVALID_SIGNATURE),
        ({"docker_image": "busyb0x"}, RejectionReason.INVALID_SIGNATURE),
        (
            {"validator_signature": None, "job_started_receipt_signature": "0x" + "0" * 128},
            RejectionReason.INVALID_RECEIPT,
        ),
    ],
)
async def test_an_offer_that_was_altered_is_declined(
    changes: dict[str, object], reason: RejectionReason
) -> None:
    subnet = await Subnet(HastyClock()).ready()
    job = altered(await subnet.assigned(), changes)

    failure = await fails(subnet, job)

    assert (failure.reason, (await attempt_of(job)).outcome) == (reason, reason)
    assert await at(Side.MINER, StoredReceipt.objects.count)() == 0


def altered(job: Assignment, changes: dict[str, object]) -> Assignment:
    return replace(job, offer=job.offer.model_copy(update=changes))


async def test_an_offer_that_lay_about_for_minutes_is_declined() -> None:
    subnet = await Subnet(HastyClock()).ready()

    failure = await fails(subnet, await subnet.assigned(ago=300))

    assert failure.reason == RejectionReason.INVALID_RECEIPT


@pytest.mark.parametrize("phase", Phase)
async def test_a_miner_that_falls_silent_runs_into_the_limit_of_the_phase(
    phase: Phase, hand_wound_clock: HandWoundClock
) -> None:
    phases_before = list(Phase).index(phase)
    subnet = await Subnet(hand_wound_clock, Damage(answers=1 + phases_before)).ready()
    job = await subnet.assigned(streaming_details=STREAMING)

    async with ScriptedExecutor(subnet.clock).running():
        running = asyncio.create_task(fails(subnet, job))
        await until(Side.VALIDATOR, lambda: reached(job, phase))
        await subnet.answered()
        await hand_wound_clock.advance(100)
        failure = await running

    assert failure.reason == TIMED_OUT[phase]
    assert await statuses(job) == EVERY_STATUS[: 1 + phases_before]
    assert await given_up(job)


async def given_up(job: Assignment) -> bool:
    """Whether the miner has a worthless receipt, and its slot back."""
    closed = (await miners_job(job)).closed_at is not None
    finished = (await receipts(Side.MINER, job))["JobFinishedReceipt"].payload
    worthless = json.loads(finished)["score_str"] == WORTHLESS
    return closed and worthless and await at(Side.MINER, free_slots)() == 1


LOST = (Ending.LOST, HordeFailureReason.EXECUTOR_DISCONNECTED)
REPORTED = [(JOB_FAILURE, JOB_FAILURE.reason), (HORDE_FAILURE, HORDE_FAILURE.reason)]


@pytest.mark.parametrize(("trouble", "reason"), [LOST, *REPORTED])
@pytest.mark.parametrize("phase", EXECUTORS_PHASES)
async def test_trouble_with_an_executor_is_told_in_every_phase(
    phase: Phase, trouble: Trouble, reason: str
) -> None:
    subnet = await Subnet(HastyClock()).ready()
    job = await subnet.assigned(streaming_details=STREAMING)

    async with ScriptedExecutor(subnet.clock, phase, trouble).running():
        failure = await fails(subnet, job)

    assert failure == trouble or failure.reason == reason
    assert await statuses(job) == EVERY_STATUS[: 1 + list(Phase).index(phase)]
    assert await given_up(job)


@pytest.mark.parametrize("loses_last", [False, True])
@pytest.mark.parametrize("frames", range(1, FRAMES + 1))
async def test_a_link_that_breaks_changes_nothing(frames: int, loses_last: bool) -> None:
    damage = Damage(cut_after=frames, loses_last=loses_last)
    subnet = await Subnet(HastyClock(), damage).ready()
    job = await subnet.assigned(streaming_details=STREAMING)

    async with ScriptedExecutor(subnet.clock).running():
        await subnet.run(job)

    assert await statuses(job) == EVERY_STATUS
    assert await receipts(Side.VALIDATOR, job)
    assert (await miners_job(job)).outcome == "finished"


async def test_a_finished_receipt_that_could_not_be_said_is_said_later() -> None:
    subnet = await Subnet(HastyClock(), Damage(cut_after=FRAMES - 1)).ready()
    job = await subnet.assigned(streaming_details=STREAMING)
    async with ScriptedExecutor(subnet.clock).running():
        await subnet.run(job)
    open_before = (await miners_job(job)).closed_at is None

    dialler = LineDialler(VALIDATOR.ss58, subnet.clock, subnet.line)
    await as_side(Side.VALIDATOR, say_farewells(subnet.office, dialler))

    theirs, ours = await receipts(Side.MINER, job), await receipts(Side.VALIDATOR, job)
    assert (open_before, (await attempt_of(job)).farewell) == (True, "")
    assert {kind: found.payload for kind, found in theirs.items()} == {
        kind: found.payload for kind, found in ours.items()
    }

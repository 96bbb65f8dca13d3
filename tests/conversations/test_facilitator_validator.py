import pytest

from compute_horde_common.contrib.django import outbox
from compute_horde_common.jobs.lifecycle import JobStatus
from compute_horde_common.protocol.base import encode
from compute_horde_common.protocol.facilitator_validator import (
    CheatedJob,
    StatusMetadata,
    StatusUpdate,
)
from compute_horde_common.protocol.rest import CheatReport
from compute_horde_common.protocol.signatures import cheat_report_payload, signed
from facilitator.models import StatusChange
from facilitator.services import cheating, fleet
from tests.conversations.facilitation import (
    GOOD_RUN,
    HISTORY,
    RESULT,
    Facilitation,
    history,
    validators_history,
)
from tests.conversations.people import MALLORY, USER, VALIDATOR
from tests.conversations.sides import Side, at, until
from tests.conversations.wires import Damage
from validator.links.facilitator import NotLetIn
from validator.models import Job as ValidatorsJob
from validator.services import jobs as validators_jobs

FRAMES = 17
"""Of both ends, from the challenge to the confirmation of the last status, without
later heartbeats."""


async def allowed() -> None:
    await at(Side.FACILITATOR, fleet.allow)(VALIDATOR.ss58)


async def test_a_challenged_validator_is_let_in() -> None:
    await allowed()
    facilitation = Facilitation()

    async with facilitation.connected():
        await facilitation.let_in()


async def test_the_static_form_lets_in_where_both_operators_allow_it() -> None:
    await allowed()
    facilitation = Facilitation(challenge=False, allow_static=(True, True))

    async with facilitation.connected():
        await facilitation.let_in()


@pytest.mark.parametrize(
    ("allow_static", "told"),
    [((False, True), r"auth\.signature_invalid"), ((True, False), "ALLOW_STATIC")],
)
async def test_the_static_form_is_refused_where_one_operator_forbids_it(
    allow_static: tuple[bool, bool], told: str
) -> None:
    await allowed()

    with pytest.raises(ExceptionGroup) as refused:
        await Facilitation(challenge=False, allow_static=allow_static).converse()

    assert refused.group_contains(NotLetIn, match=told)


async def test_who_is_no_validator_is_told_so() -> None:
    with pytest.raises(ExceptionGroup) as refused:
        await Facilitation(validator=MALLORY).converse()

    assert refused.group_contains(NotLetIn, match=r"auth\.validator_not_found")


async def test_a_job_goes_to_the_validator_and_its_statuses_come_back() -> None:
    facilitation = Facilitation()
    job = await facilitation.submit()

    async with facilitation.connected():
        await facilitation.settled(job)

    wire = facilitation.line.wires[0]
    assert facilitation.dispatched == [job]
    assert await history(job) == HISTORY
    assert await validators_history(job) == HISTORY[1:]
    assert len(wire.dialled) + len(wire.answered) >= FRAMES


async def test_a_result_arrives_as_it_was_reported() -> None:
    facilitation = Facilitation()
    job = await facilitation.submit()

    async with facilitation.connected():
        await facilitation.settled(job)

    last = await at(Side.FACILITATOR, StatusChange.objects.get)(job_id=job, status="completed")
    assert StatusMetadata.model_validate_json(last.metadata) == RESULT


async def test_a_job_by_a_stranger_is_rejected() -> None:
    facilitation = Facilitation()
    job = await facilitation.submit(signer=MALLORY)

    async with facilitation.connected():
        await facilitation.settled(job)

    assert await history(job) == ["sent", "rejected"]


@pytest.mark.parametrize("loses_last", [False, True])
@pytest.mark.parametrize("frames", range(1, FRAMES + 1))
async def test_a_link_that_breaks_changes_nothing(frames: int, loses_last: bool) -> None:
    facilitation = Facilitation(Damage(cut_after=frames, loses_last=loses_last))
    job = await facilitation.submit()

    async with facilitation.connected():
        await facilitation.settled(job)

    assert facilitation.dispatched == [job]
    assert await history(job) == HISTORY
    assert await validators_history(job) == HISTORY[1:]


async def test_links_that_break_one_after_the_other_change_nothing() -> None:
    facilitation = Facilitation(*[Damage(cut_after=frames) for frames in (3, 6, 7, 8)])
    job = await facilitation.submit()

    async with facilitation.connected():
        await facilitation.settled(job)

    assert (await history(job), facilitation.dispatched) == (HISTORY, [job])


async def test_what_happened_while_the_link_was_down_is_told_in_order() -> None:
    facilitation = Facilitation()
    first, second = await facilitation.submit(), await facilitation.submit(args=["other"])

    async with facilitation.connected():
        await facilitation.settled(first)
        await facilitation.settled(second)

    assert (await history(first), await history(second)) == (HISTORY, HISTORY)


async def test_the_status_of_another_validators_job_is_refused_and_forgotten() -> None:
    facilitation = Facilitation(validator=MALLORY)
    job = await facilitation.submit()
    await at(Side.FACILITATOR, fleet.allow)(MALLORY.ss58)
    forged = encode(StatusUpdate(uuid=job, status=JobStatus.COMPLETED))
    await at(Side.VALIDATOR, outbox.put)(validators_jobs.FACILITATOR, job, forged)

    async with facilitation.connected():
        await until(Side.VALIDATOR, lambda: not outbox.pending(validators_jobs.FACILITATOR))

    assert "job.not_found" in "".join(facilitation.line.wires[0].answered)
    assert await history(job) == ["sent"]


async def test_a_status_that_was_told_before_is_not_told_twice() -> None:
    facilitation = Facilitation()
    job = await facilitation.submit()
    async with facilitation.connected():
        await facilitation.settled(job)
        for status in GOOD_RUN:
            again = encode(StatusUpdate(uuid=job, status=status))
            await at(Side.VALIDATOR, outbox.put)(validators_jobs.FACILITATOR, job, again)

        await facilitation.settled(job)

    assert await history(job) == HISTORY


@pytest.mark.parametrize("rubbish", ["{", "[]", '{"message_type":"V9"}', '"\\u0000"'])
async def test_rubbish_from_the_facilitator_does_no_harm(rubbish: str) -> None:
    facilitation = Facilitation()
    await allowed()
    async with facilitation.connected():
        await facilitation.let_in()
        wire = await facilitation.line.opened()
        await wire.answering.send_text(rubbish)

        job = await facilitation.submit()
        await facilitation.settled(job)

    assert (await history(job), len(facilitation.line.wires)) == (HISTORY, 1)


@pytest.mark.parametrize("rubbish", ["{", "[]", '{"message_type":"V9"}', '"\\u0000"'])
async def test_rubbish_from_the_validator_does_no_harm(rubbish: str) -> None:
    facilitation = Facilitation()
    await allowed()
    async with facilitation.connected():
        await facilitation.let_in()
        wire = await facilitation.line.opened()
        await wire.dialling.send_text(rubbish)

        job = await facilitation.submit()
        await facilitation.settled(job)

    assert (await history(job), len(facilitation.line.wires)) == (HISTORY, 1)


async def test_endless_rubbish_costs_the_link_and_no_job() -> None:
    facilitation = Facilitation()
    await allowed()
    async with facilitation.connected():
        await facilitation.let_in()
        wire = await facilitation.line.opened()
        for _ in range(20):
            await wire.answering.send_text("{")

        job = await facilitation.submit()
        await facilitation.settled(job)

    assert (await history(job), len(facilitation.line.wires)) == (HISTORY, 2)


async def test_a_report_of_cheating_reaches_the_validator() -> None:
    facilitation = Facilitation()
    async with facilitation.connected():
        job = await facilitation.submit()
        trusted = await facilitation.submit(on_trusted_miner=True)
        await facilitation.settled(job)

        await reported(job, trusted, {"x": "ż"})
        await until(
            Side.VALIDATOR, lambda: ValidatorsJob.objects.filter(uuid=job, cheated=True).exists()
        )

    marked = await at(Side.VALIDATOR, ValidatorsJob.objects.get)(uuid=job)
    assert CheatedJob.model_validate_json(marked.cheat_report).details == {"x": "ż"}


async def reported(job: str, trusted: str, details: object) -> None:
    body = CheatReport.model_validate(
        {"job_uuid": job, "trusted_job_uuid": trusted, "details": details}
    )
    payload = cheat_report_payload(job, trusted, details)
    now = Facilitation().clock.now()
    signature = signed(payload, USER, timestamp_ns=1, scope="FullRequest")
    await at(Side.FACILITATOR, cheating.report)(body, signature, hotkey=USER.ss58, at=now)

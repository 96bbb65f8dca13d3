"""Cancellation, live output and unfit hosts, on both sockets."""

from datetime import datetime

import pytest

from compute_horde_common.chain.keys import Hotkey
from compute_horde_common.contrib.django.db import in_database
from compute_horde_common.links.link import LinkClosed
from compute_horde_common.protocol.base import encode
from compute_horde_common.protocol.live import CancelJob, JobLog, JobProgress
from compute_horde_common.protocol.miner_executor import HostUnfit
from compute_horde_common.protocol.validator_miner import (
    AcceptJob,
    ExecutorReady,
    GenericError,
    HordeFailed,
    JobFailedReport,
    JobFinished,
    Manifest,
    OfferJob,
    StartJob,
    VolumesReady,
)
from miner.models import Job, Slot, Validator
from tests import examples, fleet_of_rows
from tests.links.conftest import WITHIN, Dial, DialExecutor, ExecutorPeer, LetIn, Peer

REASONS = ["the driver is too old", "there is no disk left"]


async def accepted(peer: Peer, validator: Hotkey, at: datetime) -> OfferJob:
    offer = examples.offer(validator, at)
    await peer.link.send(offer)
    await peer.link.expect(AcceptJob, within=WITHIN)
    return offer


async def started(
    validator: Peer, executor: ExecutorPeer, hotkey: Hotkey, at: datetime
) -> OfferJob:
    """A job that both sockets have brought to its start."""
    offer = await accepted(validator, hotkey, at)
    await executor.link.expect(OfferJob, within=WITHIN)
    await executor.link.send(examples.ready(offer))
    await validator.link.expect(ExecutorReady, within=WITHIN)
    await validator.link.send(examples.start(offer))
    await executor.link.expect(StartJob, within=WITHIN)
    return offer


async def cancel(peer: Peer, offer: OfferJob) -> None:
    await peer.link.send(CancelJob(job_uuid=offer.job_uuid))


async def the_job() -> Job:
    return await in_database(Job.objects.get)()


async def test_a_cancellation_reaches_the_executor_and_its_report_the_validator(
    let_in: LetIn, dial_executor: DialExecutor, served: Hotkey, token: str, at: datetime
) -> None:
    validator, executor = (
        await let_in(served, job_control=True),
        dial_executor(token, job_control=True),
    )
    offer = await started(validator, executor, served, at)

    await cancel(validator, offer)

    assert await executor.link.expect(CancelJob, within=WITHIN) == CancelJob(
        job_uuid=offer.job_uuid
    )
    report = examples.cancelled(offer, stage="execution", docker_process_stdout="half")
    await executor.link.send(report)
    assert await validator.link.expect(JobFailedReport, within=WITHIN) == report


async def test_a_job_that_waits_for_its_executor_is_cancelled_without_it(
    let_in: LetIn, served: Hotkey, token: str, at: datetime
) -> None:
    validator = await let_in(served, job_control=True)
    offer = await accepted(validator, served, at)

    await cancel(validator, offer)

    report = await validator.link.expect(JobFailedReport, within=WITHIN)
    assert report == examples.cancelled(offer)


async def test_an_executor_without_job_control_is_hung_up_on(
    let_in: LetIn, dial_executor: DialExecutor, served: Hotkey, token: str, at: datetime
) -> None:
    validator, executor = await let_in(served, job_control=True), dial_executor(token)
    offer = await started(validator, executor, served, at)

    await cancel(validator, offer)

    with pytest.raises(LinkClosed):
        await executor.link.receive(within=WITHIN)
    report = await validator.link.expect(JobFailedReport, within=WITHIN)
    assert report == examples.cancelled(offer, stage="volume_download")


async def test_a_cancellation_before_the_job_itself_reaches_the_executor(
    let_in: LetIn, dial_executor: DialExecutor, served: Hotkey, token: str, at: datetime
) -> None:
    validator, executor = (
        await let_in(served, job_control=True),
        dial_executor(token, job_control=True),
    )
    offer = await accepted(validator, served, at)
    await executor.link.expect(OfferJob, within=WITHIN)

    await cancel(validator, offer)

    assert await executor.link.expect(CancelJob, within=WITHIN)


async def test_cancelling_twice_tells_the_executor_once(
    let_in: LetIn, dial_executor: DialExecutor, served: Hotkey, token: str, at: datetime
) -> None:
    validator, executor = (
        await let_in(served, job_control=True),
        dial_executor(token, job_control=True),
    )
    offer = await started(validator, executor, served, at)
    await cancel(validator, offer)
    await cancel(validator, offer)
    await executor.link.expect(CancelJob, within=WITHIN)

    await executor.link.send(examples.cancelled(offer))
    await validator.link.expect(JobFailedReport, within=WITHIN)
    await executor.pipe.close()
    await executor.over()

    with pytest.raises(LinkClosed):
        await executor.link.receive(within=WITHIN)


async def test_another_validators_job_cannot_be_cancelled(
    let_in: LetIn, served: Hotkey, charlie: Hotkey, at: datetime
) -> None:
    await in_database(Validator.objects.create)(hotkey=charlie.ss58)
    offer = await accepted(await let_in(served), served, at)
    other = await let_in(charlie, job_control=True)

    await cancel(other, offer)

    complaint = await other.link.expect(GenericError, within=WITHIN)
    assert complaint.details == f"job {offer.job_uuid} is not known here"
    assert (await the_job()).ended_at is None


async def test_live_output_and_progress_reach_the_validator_in_order(
    let_in: LetIn, dial_executor: DialExecutor, served: Hotkey, token: str, at: datetime
) -> None:
    validator, executor = (
        await let_in(served, job_control=True),
        dial_executor(token, job_control=True),
    )
    offer = await started(validator, executor, served, at)
    volumes, done, finished = examples.run_of(offer)
    story = [
        examples.output(offer),
        volumes,
        examples.output(offer, 1, "world\n"),
        examples.progress(offer, 99.5),
        done,
        finished,
    ]

    for message in story:
        await executor.link.send(message)  # type: ignore[arg-type]  # all are an executor's

    assert [await validator.link.receive(within=WITHIN) for _ in story] == story


async def test_a_validator_without_job_control_hears_nothing_of_it(
    let_in: LetIn, dial_executor: DialExecutor, served: Hotkey, token: str, at: datetime
) -> None:
    validator, executor = await let_in(served), dial_executor(token, job_control=True)
    offer = await started(validator, executor, served, at)
    run = examples.run_of(offer)

    for message in [examples.output(offer), examples.progress(offer, 1), *run]:
        await executor.link.send(message)  # type: ignore[arg-type]  # all are an executor's

    assert [await validator.link.receive(within=WITHIN) for _ in run] == run


async def test_a_job_that_is_resumed_is_told_with_its_output(
    let_in: LetIn, dial_executor: DialExecutor, served: Hotkey, token: str, at: datetime
) -> None:
    first, executor = await let_in(served, job_control=True), dial_executor(token)
    offer = await started(first, executor, served, at)
    await executor.link.send(examples.output(offer))
    await executor.link.send(examples.progress(offer, 10))
    await executor.link.send(examples.progress(offer, 20))
    await executor.link.send(examples.run_of(offer)[0])  # type: ignore[arg-type]  # an executor's
    await first.link.expect(VolumesReady, within=WITHIN)
    second = await let_in(served, job_control=True)

    await second.link.send(offer)

    told = [await second.link.receive(within=WITHIN) for _ in range(5)]
    assert [type(message) for message in told] == [
        AcceptJob,
        ExecutorReady,
        JobLog,
        JobProgress,
        VolumesReady,
    ]
    assert told[3] == examples.progress(offer, 20)


async def test_output_of_another_job_is_refused(
    let_in: LetIn, dial_executor: DialExecutor, served: Hotkey, token: str, at: datetime
) -> None:
    validator, executor = await let_in(served), dial_executor(token, job_control=True)
    await started(validator, executor, served, at)

    await executor.link.send(examples.output(examples.offer(served, at)))

    complaint = await executor.link.expect(GenericError, within=WITHIN)
    assert complaint.details == "that is another job's"


async def test_output_out_of_turn_is_no_offence(
    let_in: LetIn, dial_executor: DialExecutor, served: Hotkey, token: str, at: datetime
) -> None:
    validator, executor = await let_in(served, job_control=True), dial_executor(token)
    offer = await accepted(validator, served, at)
    await executor.link.expect(OfferJob, within=WITHIN)

    for number in range(40):
        await executor.link.send(examples.output(offer, number))
    await executor.link.send(examples.ready(offer))

    assert await validator.link.receive(within=WITHIN) == ExecutorReady(job_uuid=offer.job_uuid)


async def test_a_flood_of_output_does_not_fill_the_database(
    let_in: LetIn, dial_executor: DialExecutor, served: Hotkey, token: str, at: datetime
) -> None:
    validator, executor = await let_in(served), dial_executor(token)
    offer = await started(validator, executor, served, at)
    piece = examples.output(offer, text="x" * 16_384).pieces[0]
    flood = JobLog(job_uuid=offer.job_uuid, pieces=[piece] * 64)

    for _ in range(8):
        await executor.link.send(flood)
    for message in examples.run_of(offer):
        await executor.link.send(message)  # type: ignore[arg-type]  # all are an executor's

    await validator.link.expect(JobFinished, within=WITHIN)
    stored = await in_database(_kinds)()
    assert stored.count("JobLog") == 4


def _kinds() -> list[str]:
    return [message.kind for message in Job.objects.get().messages.all()]


async def test_an_executor_on_an_unfit_host_is_let_go_and_the_host_not_offered(
    dial: Dial, dial_executor: DialExecutor, served: Hotkey, token: str, at: datetime
) -> None:
    executor = dial_executor(token, job_control=True)

    await executor.link.send(HostUnfit(reasons=REASONS))

    await executor.over()
    validator = dial(served)
    await validator.link.send(examples.authenticate(served, at))
    assert (await validator.link.expect(Manifest, within=WITHIN)).manifest == {examples.CLASS: 1}
    assert (await in_database(Slot.objects.get)()).unfit == "\n".join(REASONS)


async def test_a_job_on_an_unfit_host_is_told_to_have_failed(
    let_in: LetIn, dial_executor: DialExecutor, served: Hotkey, token: str, at: datetime
) -> None:
    validator = await let_in(served)
    await accepted(validator, served, at)
    executor = dial_executor(token, job_control=True)
    await executor.link.expect(OfferJob, within=WITHIN)

    await executor.link.send(HostUnfit(reasons=REASONS))

    failed = await validator.link.expect(HordeFailed, within=WITHIN)
    assert (failed.reason, failed.reported_by) == ("executor_spinup_failed", "miner")
    assert REASONS[0] not in encode(failed)


async def test_an_executor_with_a_job_cannot_complain_about_its_host(
    let_in: LetIn, dial_executor: DialExecutor, served: Hotkey, token: str, at: datetime
) -> None:
    validator, executor = await let_in(served), dial_executor(token)
    await started(validator, executor, served, at)

    await executor.link.send(HostUnfit(reasons=REASONS))

    complaint = await executor.link.expect(GenericError, within=WITHIN)
    assert complaint.details == "that comes too late: there is a job"


async def test_a_second_slot_is_still_offered(
    dial: Dial, dial_executor: DialExecutor, served: Hotkey, token: str, at: datetime
) -> None:
    await in_database(fleet_of_rows.slots)(2)
    executor = dial_executor(token)
    await executor.link.send(HostUnfit(reasons=REASONS))
    await executor.over()
    validator = dial(served)
    await validator.link.send(examples.authenticate(served, at))
    await validator.link.expect(Manifest, within=WITHIN)

    assert await accepted(validator, served, at)

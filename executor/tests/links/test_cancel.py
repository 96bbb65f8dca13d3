"""A job that its author does not want any more, cancelled in each stage."""

import asyncio

import pytest

from compute_horde_common.jobs.failures import JobFailure
from compute_horde_common.protocol.live import CancelJob, JobLog
from compute_horde_common.protocol.validator_miner import (
    ExecutionDone,
    ExecutorReady,
    GenericError,
    JobFailedReport,
)
from tests.stand import JOB, PATIENCE, Stand, Web, offer, start

CANCEL = CancelJob(job_uuid=JOB)


@pytest.fixture
def live(stand: Stand) -> Stand:
    stand.job_control = True
    return stand


async def cancelled_report(stand: Stand) -> JobFailure:
    report = (await stand.said())[-1]
    assert isinstance(report, JobFailedReport)
    return report.failure()


async def test_before_the_job_itself_was_told(live: Stand) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(live.serve())
        await live.miner.send(offer())
        await live.miner.expect(ExecutorReady, within=PATIENCE)
        await live.miner.send(CANCEL)
        failure = await cancelled_report(live)

    assert (failure.reason, failure.stage) == ("cancelled", "executor_startup")
    assert await live.left() == ([], [])


async def test_while_inputs_are_on_their_way(live: Stand, web: Web) -> None:
    volume = {"volume_type": "single_file", "url": web.url("/silent"), "relative_path": "a"}
    async with asyncio.TaskGroup() as group:
        group.create_task(live.serve())
        await live.miner.send(offer(volume=volume))
        await live.miner.expect(ExecutorReady, within=PATIENCE)
        await live.miner.send(start("true"))
        await live.miner.send(CANCEL)
        failure = await cancelled_report(live)

    assert (failure.reason, failure.stage) == ("cancelled", "volume_download")
    assert await live.left() == ([], [])


async def test_a_running_job_gets_its_grace_and_its_last_words_are_kept(live: Stand) -> None:
    script = "trap 'echo goodbye; exit 0' TERM; echo hello; while :; do sleep 0.1; done"
    async with asyncio.TaskGroup() as group:
        group.create_task(live.serve())
        await live.miner.send(offer())
        await live.miner.expect(ExecutorReady, within=PATIENCE)
        await live.miner.send(start(script))
        await live.miner.expect(JobLog, within=PATIENCE)
        await live.miner.send(CANCEL)
        said = await live.said()

    report = said[-1]
    assert isinstance(report, JobFailedReport)
    failure = report.failure()
    live_text = "".join(
        piece.text for message in said if isinstance(message, JobLog) for piece in message.pieces
    )

    assert (failure.reason, failure.stage) == ("cancelled", "execution")
    assert failure.docker_process_stdout == "hello\ngoodbye\n"
    assert live_text == "goodbye\n"
    assert await live.left() == ([], [])


async def test_a_job_that_ignores_the_signal_is_killed(live: Stand) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(live.serve())
        await live.miner.send(offer())
        await live.miner.expect(ExecutorReady, within=PATIENCE)
        await live.miner.send(start("trap '' TERM; echo stubborn; while :; do sleep 0.1; done"))
        await live.miner.expect(JobLog, within=PATIENCE)
        await live.miner.send(CANCEL)
        failure = await cancelled_report(live)

    assert (failure.reason, failure.docker_process_stdout) == ("cancelled", "stubborn\n")
    assert await live.left() == ([], [])


async def test_while_outputs_are_on_their_way(live: Stand, web: Web) -> None:
    upload = {
        "output_upload_type": "single_file_put",
        "url": web.url("/silent"),
        "relative_path": "a",
    }
    async with asyncio.TaskGroup() as group:
        group.create_task(live.serve())
        await live.miner.send(offer())
        await live.miner.expect(ExecutorReady, within=PATIENCE)
        await live.miner.send(start("echo a > /output/a", output_upload=upload))
        await live.miner.expect(ExecutionDone, within=PATIENCE)
        await live.miner.send(CANCEL)
        failure = await cancelled_report(live)

    assert (failure.reason, failure.stage) == ("cancelled", "result_upload")
    assert await live.left() == ([], [])


async def test_the_cancellation_of_another_job_is_refused(live: Stand) -> None:
    other = CancelJob(job_uuid="f3a6b1de-31cf-4b5a-8c2b-7d3f6d0a9e11")
    async with asyncio.TaskGroup() as group:
        group.create_task(live.serve())
        await live.miner.send(offer())
        await live.miner.expect(ExecutorReady, within=PATIENCE)
        await live.miner.send(other)
        complaint = await live.miner.expect(GenericError, within=PATIENCE)
        await live.miner.send(CANCEL)
        await cancelled_report(live)

    assert complaint.details == "this executor has another job"

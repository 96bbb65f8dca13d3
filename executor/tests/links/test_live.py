"""What the miner hears of a job while it runs."""

import asyncio

import pytest
from pydantic import BaseModel

from compute_horde_common.containers.interface import PullProgress
from compute_horde_common.jobs.timing import Limits
from compute_horde_common.links.link import Link
from compute_horde_common.links.memory import pipe_pair
from compute_horde_common.protocol.base import Codec
from compute_horde_common.protocol.live import JobLog, JobProgress
from compute_horde_common.protocol.miner_executor import ExecutorToMiner, MinerToExecutor
from compute_horde_common.protocol.validator_miner import (
    ExecutorReady,
    JobFailedReport,
    JobFinished,
    VolumesReady,
)
from executor.links.live import PullReport
from tests.stand import JOB, PATIENCE, Stand, offer, start


@pytest.fixture
def live(stand: Stand) -> Stand:
    stand.job_control = True
    return stand


def text_of(said: list[BaseModel]) -> str:
    return "".join(
        piece.text for message in said if isinstance(message, JobLog) for piece in message.pieces
    )


async def test_lines_are_heard_while_the_job_runs(live: Stand) -> None:
    script = "echo first; while [ ! -e /volume/go ]; do sleep 0.1; done; echo last"
    async with asyncio.TaskGroup() as group:
        group.create_task(live.serve())
        await live.miner.send(offer())
        await live.miner.expect(ExecutorReady, within=PATIENCE)
        await live.miner.send(start(script))
        await live.miner.expect(VolumesReady, within=PATIENCE)
        heard = await live.miner.expect(JobLog, within=PATIENCE)
        (live.config.job_folder / "volume" / "go").touch()
        rest = await live.said()

    assert [piece.text for piece in heard.pieces] == ["first\n"]
    assert text_of(rest) == "last\n"
    assert isinstance(rest[-1], JobFinished)
    assert rest[-1].docker_process_stdout == "first\nlast\n"


async def test_a_short_job_says_everything_in_its_report(live: Stand) -> None:
    said = await live.talk(offer(), start("echo all"))

    assert text_of(said) == ""
    assert isinstance(said[-1], JobFinished)
    assert said[-1].docker_process_stdout == "all\n"


async def test_progress_is_heard_when_it_changes(live: Stand) -> None:
    script = (
        "echo '40 of it' > /specs/progress; sleep 1.5; echo '90 done' > /specs/progress; sleep 1"
    )

    said = await live.talk(offer(), start(script))

    told = [(each.percent, each.text) for each in said if isinstance(each, JobProgress)]
    assert told == [(40.0, "of it"), (90.0, "done")]


async def test_a_miner_that_does_not_understand_hears_nothing_of_it(stand: Stand) -> None:
    said = await stand.talk(offer(), start("echo '5 x' > /specs/progress; echo a; sleep 1.2"))

    assert [each for each in said if isinstance(each, JobLog | JobProgress)] == []


async def test_the_last_words_of_a_job_that_fails_are_heard(live: Stand) -> None:
    said = await live.talk(offer(), start("echo working; sleep 1.2; echo the reason; exit 3"))

    assert isinstance(said[-1], JobFailedReport)
    assert text_of(said) == "working\nthe reason\n"


async def test_the_last_words_of_a_job_that_takes_too_long_are_heard(live: Stand) -> None:
    limits = Limits(download=1, execution=2, upload=1)
    script = "echo working; sleep 1.2; echo almost; sleep 60"

    said = await live.talk(offer(limits), start(script))

    assert isinstance(said[-1], JobFailedReport)
    assert text_of(said) == "working\nalmost\n"


async def test_an_image_on_its_way_is_told_as_progress(stand: Stand) -> None:
    pipe, far = pipe_pair()
    executor: Link[MinerToExecutor, ExecutorToMiner] = Link(
        far, Codec(MinerToExecutor), clock=stand.clock
    )
    miner: Link[ExecutorToMiner, MinerToExecutor] = Link(
        pipe, Codec(ExecutorToMiner), clock=stand.clock
    )
    report = PullReport(executor, JOB)
    telling = asyncio.create_task(report.tell())

    report.hear(PullProgress(done=50 << 20, total=200 << 20))
    told = await miner.expect(JobProgress, within=PATIENCE)
    telling.cancel()

    assert told == JobProgress(job_uuid=JOB, percent=25.0, text="pulling the image: 50 of 200 MiB")

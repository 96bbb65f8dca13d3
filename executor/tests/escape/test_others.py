"""A job neither sees nor touches a process that is not its own, and none of its own outlives it."""

import json
import subprocess
from collections.abc import Iterator
from uuid import uuid4

import pytest

from compute_horde_common.jobs.timing import Limits
from compute_horde_common.protocol.validator_miner import JobFailedReport
from tests.escape.attacker import Attacker
from tests.escape.attacks import others
from tests.escape.host import processes_with
from tests.escape.neighbour import Neighbour

SHORT = Limits(download=5, execution=2, upload=5)


@pytest.fixture
def bystander() -> Iterator["subprocess.Popen[bytes]"]:
    """A process of the host, of the same user as the executor."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process
        process.kill()


async def done(attacker: Attacker, *arguments: str) -> object:
    return json.loads(await attacker.said(others, *arguments))


async def test_only_its_own_process_is_seen(attacker: Attacker) -> None:
    assert await done(attacker, "processes") == [1]


async def test_the_hosts_processes_cannot_be_touched(
    attacker: Attacker, bystander: "subprocess.Popen[bytes]"
) -> None:
    assert await done(attacker, "touch", str(bystander.pid)) == []
    assert bystander.poll() is None


async def test_another_jobs_first_process_cannot_be_touched(
    attacker: Attacker, neighbour: Neighbour
) -> None:
    await neighbour.begin("true")

    assert await done(attacker, "touch", str(neighbour.pid())) == []
    assert await neighbour.is_running()


async def test_killing_everybody_kills_nobody(
    attacker: Attacker, bystander: "subprocess.Popen[bytes]", neighbour: Neighbour
) -> None:
    await neighbour.begin("true")

    assert await done(attacker, "kill_all") == []
    assert bystander.poll() is None
    assert await neighbour.is_running()


async def test_a_process_that_leaves_its_parent_ends_with_the_job(attacker: Attacker) -> None:
    mark = uuid4().hex

    assert await done(attacker, "stay_behind", mark) == "stays"
    assert processes_with(mark) == []


async def test_a_job_that_heeds_no_signal_ends_at_its_limit(attacker: Attacker) -> None:
    mark = uuid4().hex

    report = await attacker.report(others, "outlast", mark, limits=SHORT)

    assert isinstance(report, JobFailedReport)
    assert (report.reason, report.stage) == ("timeout", "execution")
    assert processes_with(mark) == []

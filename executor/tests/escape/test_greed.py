"""A job that takes all it can get gets its share: the host goes on with the rest."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import BaseModel

from compute_horde_common.jobs.timing import Limits
from compute_horde_common.protocol.validator_miner import JobFailedReport
from tests.escape.attacker import Attacker
from tests.escape.attacks import greed
from tests.escape.neighbour import Neighbour
from tests.stand import Stand

MIB = 1 << 20
GIB = 1 << 30
SHORT = Limits(download=5, execution=3, upload=5)
SHM, TMP = "/dev/shm", "/tmp"  # noqa: S108 - the job's own
FOLDERS = ("/output", "/volume", "/specs", TMP, "")
BOMB = "bomb() { bomb | bomb & }; bomb; exec tail -f /dev/null"
LOG_BYTES = 64 * MIB


async def taken(attacker: Attacker, *arguments: str) -> object:
    return json.loads(await attacker.said(greed, *arguments))


def shows(report: BaseModel, **expected: object) -> None:
    assert isinstance(report, JobFailedReport), report
    assert {name: getattr(report, name) for name in expected} == expected


async def test_memory_is_taken_from_the_job_alone(attacker: Attacker) -> None:
    report = await attacker.report(greed, "memory")

    shows(report, stage="execution", context={"oom_killed": True}, docker_process_exit_status=137)


async def test_a_child_that_takes_all_memory_is_killed_alone(attacker: Attacker) -> None:
    assert await taken(attacker, "memory_in_children") == -9


async def test_shared_memory_is_bounded(attacker: Attacker) -> None:
    attacker.stand.config = replace(attacker.stand.config, memory_bytes=256 * MIB)

    assert await taken(attacker, "fill", f"{SHM}/big", "128") == ["ENOSPC", 64]


@pytest.mark.parametrize("folder", [SHM, "/dev"])
async def test_files_in_memory_count_as_memory(attacker: Attacker, folder: str) -> None:
    attacker.stand.config = replace(attacker.stand.config, memory_bytes=48 * MIB)

    report = await attacker.report(greed, "fill", f"{folder}/big", "256")

    shows(report, stage="execution", context={"oom_killed": True})


async def test_no_single_file_is_larger_than_the_jobs_disk(attacker: Attacker) -> None:
    attacker.stand.config = replace(attacker.stand.config, job_disk_bytes=8 * MIB)

    answers = await taken(attacker, "stretch", "16", *(f"{folder}/big" for folder in FOLDERS))

    assert answers == ["EFBIG"] * len(FOLDERS)


@pytest.mark.parametrize("folder", ["/output", TMP])
async def test_all_files_together_are_not_larger_either(attacker: Attacker, folder: str) -> None:
    attacker.stand.config = replace(attacker.stand.config, job_disk_bytes=8 * MIB)

    report = await attacker.report(greed, "fill_with_many", folder, "16")

    shows(report, stage="execution", context={"disk_exceeded": True})


async def test_processors_are_shared(attacker: Attacker) -> None:
    attacker.stand.config = replace(attacker.stand.config, cpus=0.5)

    seconds = await taken(attacker, "burn", "4", "1.5")

    assert isinstance(seconds, float)
    assert 0.1 < seconds < 1.1


async def test_processes_are_counted(attacker: Attacker) -> None:
    attacker.stand.config = replace(attacker.stand.config, memory_bytes=GIB)

    answer = await taken(attacker, "multiply", "4000")

    assert answer == ["EAGAIN", 1023]


async def test_open_files_are_counted(attacker: Attacker) -> None:
    attacker.stand.config = replace(attacker.stand.config, memory_bytes=GIB)

    answer = await taken(attacker, "open_files", "100000")

    assert isinstance(answer, list)
    assert (answer[0], answer[1] <= 65_536) == ("EMFILE", True)


async def test_the_host_goes_on_under_a_fork_bomb(stand: Stand) -> None:
    stand.config = replace(stand.config, memory_bytes=GIB, cpus=1)
    bomb = asyncio.create_task(stand.run(BOMB, SHORT))

    codes = set()
    while not bomb.done():
        process = await asyncio.create_subprocess_exec("true")
        codes.add(await process.wait())

    assert codes == {0}
    shows(bomb.result(), reason="timeout", stage="execution")
    assert await stand.left() == ([], [])


async def test_endless_output_takes_little_disk(neighbour: Neighbour) -> None:
    await neighbour.begin(f"yes {'x' * 1000} | head -c 100000000")

    log = Path(neighbour.look("{{.LogPath}}"))

    written = sum(path.stat().st_size for path in log.parent.glob(f"{log.name}*"))
    assert LOG_BYTES // 4 < written < LOG_BYTES * 1.1

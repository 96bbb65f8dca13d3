"""The command line as a program of its own: on a terminal, with signals, and how fast it is."""

import asyncio
import os
import pty
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from typing_extensions import override

from compute_horde_sdk.cli.interruption import Interruption
from compute_horde_sdk.cli.screen import Lines
from compute_horde_sdk.cli.trouble import CommandFailed
from compute_horde_sdk.v1 import ComputeHordeClient
from tests.cli.conftest import Horde
from tests.conftest import SpecMaker
from tests.facilitator import Entry, FakeFacilitator, Job

HORDE = [sys.executable, "-m", "compute_horde_sdk.cli"]
SECONDS = 30
CPU_SECONDS = 0.7


class Facilitator(FakeFacilitator):
    """One whose jobs may write something and say how far they are, or go on when cancelled."""

    jobs_talk = False
    jobs_go_on = False

    @override
    def add_job(self, *plan: Entry) -> Job:
        job = super().add_job(*plan)
        if self.jobs_talk:
            job.written, job.to_write = ["first "], ["and ", "second\n"]
            at = "2026-01-01T00:00:01Z"
            job.members["progress"] = {"percent": 42.0, "text": "\x1b[31mhalf", "at": at}
        return job

    @override
    def _cancel(self, job: Job | None) -> httpx.Response:  # type: ignore[override]  # needs self
        if job is None or not self.jobs_go_on:
            return super()._cancel(job)
        return httpx.Response(202, json=job.view())


@pytest.fixture
def facilitator() -> Facilitator:
    return Facilitator()


@pytest.fixture
def home_environment(home: Path) -> dict[str, str]:
    return {"HOME": str(home), "PATH": "/usr/bin:/bin", "TERM": "xterm", "COLUMNS": "100"}


def _read(terminal: int) -> str:
    """What was written to a terminal until its program has ended."""
    shown = b""
    while True:
        try:
            more = os.read(terminal, 65_536)
        except OSError:
            return shown.decode()
        shown += more


def test_a_terminal_shows_stages_output_and_progress_live(
    horde: Horde, facilitator: Facilitator, home_environment: dict[str, str]
) -> None:
    facilitator.plans.append(["sent", "accepted", "volumes_ready", "volumes_ready", "completed"])
    facilitator.jobs_talk = True

    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*HORDE, "run", "alpine:3.20"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=home_environment,
    ) as program:
        os.close(theirs)
        shown = _read(ours)
    os.close(ours)

    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert program.returncode == 0
    assert "\x1b[" in shown
    assert "first and second\r\n" in text
    assert "volumes_ready" in text
    assert "━" in text
    assert "42 % \ufffd[31mhalf" in text
    assert "completed" in text.splitlines()[-1]


def test_without_a_terminal_there_is_nothing_but_text(
    horde: Horde, facilitator: Facilitator
) -> None:
    facilitator.plans.append(["sent", "accepted", "completed"])
    facilitator.jobs_talk = True

    said = horde("run", "alpine:3.20")

    assert said.out == "first and second\n"
    assert "\x1b" not in said.err


def test_ctrl_c_cancels_the_job(
    horde: Horde, facilitator: Facilitator, home_environment: dict[str, str]
) -> None:
    facilitator.plans.append(["sent", "accepted"])

    program = _started(home_environment, "run", "alpine:3.20")
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=SECONDS)

    assert (program.returncode, out) == (130, "")
    assert "job cancelled" in err
    assert [call for call in facilitator.calls if call.endswith("/cancel/")] != []


def test_ctrl_c_twice_leaves_the_job_alone_and_names_it(
    horde: Horde, facilitator: Facilitator, home_environment: dict[str, str]
) -> None:
    facilitator.plans.append(["sent", "accepted"])
    facilitator.jobs_go_on = True

    program = _started(home_environment, "run", "alpine:3.20")
    program.send_signal(signal.SIGINT)
    _line_with(program, "cancelling")
    program.send_signal(signal.SIGINT)
    _, err = program.communicate(timeout=SECONDS)

    assert program.returncode == 130
    assert f"horde cancel {next(iter(facilitator.jobs))}" in err


async def test_ctrl_c_twice_says_that_a_job_on_this_machine_was_ended(
    facilitator: Facilitator,
    client: ComputeHordeClient,
    spec: SpecMaker,
    capsys: pytest.CaptureFixture[str],
) -> None:
    facilitator.jobs_go_on = True
    job = await client.create_job(spec())

    async def press_twice() -> None:
        async with Interruption(Lines(), None, is_local=True) as interruption:
            interruption.runs(job)
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            await asyncio.Event().wait()

    with pytest.raises(CommandFailed) as left:
        await asyncio.create_task(press_twice())

    assert (left.value.message, left.value.status) == ("left; the job was ended", 130)
    assert "press Ctrl-C again to end it at once" in capsys.readouterr().err


def test_help_is_there_at_once(home_environment: dict[str, str]) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)

    done = subprocess.run(
        [*HORDE, "--help"], env=home_environment, capture_output=True, text=True, check=True
    )

    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "upload-url" in done.stdout
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < CPU_SECONDS


def test_help_loads_nothing_that_it_does_not_need(home_environment: dict[str, str]) -> None:
    program = (
        "import sys; from compute_horde_sdk.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print([name for name in ('httpx', 'boto3', 'yaml', 'cryptography',"
        " 'bittensor_wallet') if name in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        env=home_environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.splitlines()[-1] == "[]"


def _started(environment: dict[str, str], *words: str) -> subprocess.Popen[str]:
    program = subprocess.Popen(
        [*HORDE, *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    _line_with(program, "job ")
    return program


def _line_with(program: subprocess.Popen[str], words: str) -> None:
    assert program.stderr is not None
    assert any(words in line for line in iter(program.stderr.readline, ""))

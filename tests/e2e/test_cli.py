"""The command line on the live network, as its user types it."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from compute_horde_devnet.state import NetworkState
from tests.conftest import SECONDS
from tests.web_server import WebServer

pytestmark = pytest.mark.timeout(240)

HORDE = [sys.executable, "-m", "compute_horde_sdk.cli"]


@dataclass(frozen=True)
class Said:
    status: int
    out: str
    err: str


@dataclass(frozen=True)
class Shell:
    """A user's home and folder."""

    folder: Path
    environment: Mapping[str, str]

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*HORDE, *words],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def horde(self, *words: str) -> Said:
        program = self.start(*words)
        out, err = program.communicate(timeout=SECONDS)
        return Said(program.returncode, out, err)


@pytest.fixture
def shell(state: NetworkState, tmp_path: Path) -> Shell:
    """Where somebody has logged in."""
    shell = Shell(tmp_path, {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"})
    wallet = state.client.wallet
    said = shell.horde(
        *("login", "--facilitator-url", state.facilitator.url),
        *("--validator", state.validators[0].hotkey, "--wallet-path", str(wallet.directory)),
        *("--wallet", wallet.name, "--hotkey", wallet.hotkey_name),
        *("--class", "always_on.test", "--namespace", "SN12.tests"),
    )
    assert (said.status, wallet.hotkey in said.err) == (0, True), said
    return shell


async def test_a_job_file_with_everything_runs_as_it_says(
    shell: Shell, state: NetworkState, web: WebServer
) -> None:
    web.files["/data"] = b"from the web"
    (shell.folder / "inputs").mkdir()
    (shell.folder / "inputs" / "line.txt").write_text("a line, ")
    (shell.folder / "alone.txt").write_text("alone, ")
    (shell.folder / "job.yaml").write_text(
        f"""\
image: {state.image}
args:
  - sh
  - -c
  - |
    cat /volume/in/line.txt /volume/alone /volume/data > /artifacts/a
    mkdir /artifacts/b; echo 1 > /artifacts/b/c; cp /artifacts/a /output/up
    printf "$A $B"; printf err >&2
env: {{A: 1.10}}
input:
  /volume/in/: ./inputs
  /volume/alone: ./alone.txt
  /volume/data: {web.url}/data
output:
  /output/up: {web.url}/up
limits: {{download: 10, execution: 20, upload: 10}}
save-artifacts: saved
"""
    )

    program = shell.start("run", "-f", "job.yaml", "-e", "B=flag")
    out, err = await _ended(program)

    assert (program.returncode, out) == (0, "1.10 flag"), err
    assert "err" in err
    assert "volumes_ready" in err
    assert web.received == {"/up": b"a line, alone, from the web"}
    saved = shell.folder / "saved"
    assert (saved / "a").read_bytes() == b"a line, alone, from the web"
    assert (saved / "b" / "c").read_text() == "1\n"


def test_the_exit_status_is_the_jobs_and_quiet_is_quiet(shell: Shell, state: NetworkState) -> None:
    said = shell.horde("run", "-q", state.image, "sh", "-c", "echo out; echo err >&2; exit 3")

    assert (said.status, said.out) == (3, "out\n")
    assert said.err.startswith("err\n")
    assert "exited with status 3" in said.err


def test_a_detached_job_is_followed_and_cancelled(shell: Shell, state: NetworkState) -> None:
    uuid = shell.horde("run", "-d", state.image, "sh", "-c", "echo begun; sleep 60").out.strip()
    following = shell.start("logs", "-f", uuid)
    assert following.stdout is not None
    first = following.stdout.readline()

    cancelled = shell.horde("cancel", uuid[:13])
    _, err = following.communicate(timeout=SECONDS)
    shown = json.loads(shell.horde("show", uuid, "--json").out)
    listed = json.loads(shell.horde("jobs", "--json", "--status", "failed", "--limit", "1").out)

    assert first == "begun\n"
    assert (cancelled.status, following.returncode) == (0, 0)
    assert "job cancelled" in err
    assert (shown["status"], shown["error"]["reason"]) == ("failed", "cancelled")
    assert shown["limits"] == {"download": 60, "streaming_start": 5, "execution": 300, "upload": 60}
    assert [job["uuid"] for job in listed] == [uuid]


def test_ctrl_c_cancels_the_job_and_waits_for_its_end(shell: Shell, state: NetworkState) -> None:
    program = shell.start("run", state.image, "sh", "-c", "echo begun; sleep 60")
    assert program.stdout is not None
    program.stdout.readline()

    program.send_signal(signal.SIGINT)
    _, err = program.communicate(timeout=SECONDS)

    assert program.returncode == 130
    assert "job cancelled" in err
    assert json.loads(shell.horde("jobs", "--json", "--limit", "1").out)[0]["status"] == "failed"


def test_a_job_that_takes_too_long_is_cancelled(shell: Shell, state: NetworkState) -> None:
    said = shell.horde("run", "--timeout", "2", state.image, "sleep", "60")

    assert said.status == 124
    assert "more than 2 seconds" in said.err


def test_json_is_a_line_for_each_event(shell: Shell, state: NetworkState) -> None:
    said = shell.horde("run", "--json", state.image, "echo", "hello")

    lines = [json.loads(line) for line in said.out.splitlines()]
    assert (lines[0]["event"], lines[-1]["event"]) == ("created", "end")
    assert [line["text"] for line in lines if line["event"] == "log"] == ["hello\n"]
    assert (lines[-1]["horde_exit_status"], lines[-1]["job"]["stdout"]) == (0, "hello\n")


def test_a_cheat_is_reported_once(shell: Shell, state: NetworkState) -> None:
    job = shell.horde("run", "-d", state.image, "echo", "1").out.strip()
    trusted = shell.horde("run", "-d", "--trusted", state.image, "echo", "1").out.strip()

    first = shell.horde("report", job, trusted, "--details", '{"expected": "2"}')
    second = shell.horde("report", job, trusted)

    assert (first.status, first.out.startswith("reported")) == (0, True), first
    assert second.status == 125
    assert "the facilitator answered 400" in second.err


def test_the_doctor_is_content(shell: Shell) -> None:
    said = shell.horde("doctor", "--json")

    found = {check["name"]: check["verdict"] for check in json.loads(said.out)}
    assert said.status == 0
    assert {found[name] for name in ("hotkey", "validator", "facilitator", "clock", "login")} == {
        "good"
    }


def test_a_validator_that_is_not_there_is_named_with_what_to_do(
    shell: Shell, state: NetworkState
) -> None:
    said = shell.horde("run", "--validator", state.client.wallet.hotkey, state.image, "true")

    assert said.status == 125
    assert "Choose another one with --validator." in said.err


def test_the_same_job_runs_locally(shell: Shell, state: NetworkState) -> None:
    said = shell.horde(
        *("run", "--local", "--save-artifacts", "here", state.image),
        *("sh", "-c", "echo local; echo a > /artifacts/a; exit 4"),
    )

    assert (said.status, said.out) == (4, "local\n"), said


async def _ended(program: subprocess.Popen[str]) -> tuple[str, str]:
    return await asyncio.to_thread(program.communicate, timeout=SECONDS)

"""Texts that would steer a terminal, secrets, and streams that are closed or broken."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typing_extensions import override

from tests.cli.conftest import Horde
from tests.cli.test_terminal import HORDE, SECONDS, Facilitator
from tests.facilitator import Entry, FakeFacilitator, Job

ESCAPES = "\x1b]0;owned\x07[bold]\x9b31m\u202e"


class HostileFacilitator(FakeFacilitator):
    """One whose answers mean harm."""

    @override
    def add_job(self, *plan: Entry) -> Job:
        self.jobs[ESCAPES] = Job(ESCAPES, list(plan) or ["sent"])
        self.jobs[ESCAPES].members["docker_image"] = ESCAPES
        return self.jobs[ESCAPES]


@pytest.fixture
def facilitator(request: pytest.FixtureRequest) -> FakeFacilitator:
    kind: type[FakeFacilitator] = getattr(request, "param", Facilitator)
    return kind()


@pytest.mark.parametrize("facilitator", [HostileFacilitator], indirect=True)
def test_a_detached_jobs_uuid_cannot_steer_the_terminal(horde: Horde) -> None:
    said = horde("run", "-d", "a:b")

    assert said.status == 0
    assert said.out == "\ufffd]0;owned\ufffd[bold]\ufffd31m\ufffd\n"
    assert said.err.startswith("follow it with: horde logs -f \ufffd]0;owned\ufffd[bold]")


@pytest.mark.parametrize("facilitator", [HostileFacilitator], indirect=True)
def test_json_is_ascii(horde: Horde, facilitator: FakeFacilitator) -> None:
    facilitator.add_job()

    said = horde("jobs", "--json")

    assert said.out.isascii()
    assert json.loads(said.out)[0]["docker_image"] == ESCAPES


def test_secrets_are_shown_only_when_they_are_asked_for(
    horde: Horde, facilitator: FakeFacilitator
) -> None:
    job = facilitator.add_job("completed")
    target = {
        "output_upload_type": "single_file_post",
        "relative_path": "x",
        "url": "https://b.test/x?Signature=s3cret",
        "form_fields": {"policy": "s3cret"},
        "signed_headers": {"authorization": "s3cret"},
    }
    source = {"volume_type": "huggingface_volume", "repo_id": "o/r", "token": "s3cret"}
    job.members |= {"env": {"KEY": "s3cret"}, "volumes": [source], "uploads": [target]}

    shown = [horde("show", job.uuid, *flags) for flags in ([], ["--json"])]
    revealed = [horde("show", job.uuid, "--reveal", *flags) for flags in ([], ["--json"])]

    assert [said.out.count("s3cret") for said in shown] == [0, 0]
    assert [said.out.count("s3cret") for said in revealed] == [2, 5]
    assert "KEY=***" in shown[0].out
    document = json.loads(shown[1].out)
    assert document["env"] == {"KEY": "***"}
    assert document["inputs"] == [{"volume_type": "huggingface_volume", "repo_id": "o/r"}]
    assert document["outputs"][0]["url"] == "https://b.test/x"


def test_an_error_of_a_command_with_json_is_json_too(horde: Horde) -> None:
    unknown = horde("show", "--json", "x/y")
    unusable = horde("show", "--json", "--frob")
    not_run = horde("run", "--json", "my image")

    assert json.loads(unknown.out) == {
        "error": "'x/y' is no job's uuid",
        "fix": "`horde jobs` shows the uuids of your jobs.",
        "horde_exit_status": 2,
    }
    assert unknown.err.startswith("error: 'x/y' is no job's uuid")
    assert (unusable.status, json.loads(unusable.out)["horde_exit_status"]) == (2, 2)
    assert "--frob" in json.loads(unusable.out)["error"]
    assert json.loads(not_run.out) | {"error": "", "fix": ""} == {
        "event": "error",
        "error": "",
        "fix": "",
        "horde_exit_status": 2,
    }
    assert len(not_run.out.splitlines()) == 1


def test_what_was_cancelled_is_told_when_another_job_cannot_be(
    horde: Horde, facilitator: FakeFacilitator
) -> None:
    running, ended = facilitator.add_job("sent", "accepted"), facilitator.add_job("completed")

    said = horde("cancel", running.uuid, ended.uuid)

    assert (said.status, said.out) == (125, "")
    assert f"{ended.uuid} is not cancelled: " in said.err
    assert f"cancelled before: {running.uuid}" in said.err


@pytest.mark.parametrize("flags", [[], ["--json"]], ids=["text", "json"])
def test_a_reader_that_leaves_ends_the_job(
    horde: Horde, facilitator: FakeFacilitator, home: Path, flags: list[str]
) -> None:
    assert isinstance(facilitator, Facilitator)
    facilitator.jobs_talk = True
    facilitator.plans.append(["sent", *["accepted"] * 50])
    nobody, output = os.pipe()
    os.close(nobody)

    done = subprocess.run(
        [*HORDE, "run", *flags, "a:b"],
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(home),
        timeout=SECONDS,
        check=False,
    )
    os.close(output)

    uuid = next(iter(facilitator.jobs))
    assert done.returncode == 130, done.stderr
    assert f"nobody reads the output any more; job {uuid} is cancelled" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert f"POST /api/v1/jobs/{uuid}/cancel/" in facilitator.calls


# Tests that run under nohup pass on that SIGHUP is ignored.
HEARS_SIGHUP = """
import runpy, signal
signal.signal(signal.SIGHUP, signal.SIG_DFL)
runpy.run_module("compute_horde_sdk.cli", run_name="__main__")
"""


def test_hanging_up_cancels_the_job(horde: Horde, facilitator: FakeFacilitator, home: Path) -> None:
    facilitator.plans.append(["sent", *["accepted"] * 50])

    with subprocess.Popen(
        [sys.executable, "-c", HEARS_SIGHUP, "run", "a:b"],
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(home),
    ) as program:
        assert program.stderr is not None
        program.stderr.readline()
        program.send_signal(signal.SIGHUP)
        _, err = program.communicate(timeout=SECONDS)

    assert program.returncode == 130
    assert "job cancelled" in err


def test_an_encoding_that_lacks_characters_is_no_error(home: Path) -> None:
    done = subprocess.run(
        [*HORDE, "doctor", "--facilitator-url", "http://127.0.0.1:1"],
        env=_environment(home) | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
        timeout=SECONDS,
    )

    assert (done.returncode, done.stderr) == (1, b"")
    assert done.stdout.startswith(b"? version")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_error(home: Path, closed: str) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", *HORDE, "version"],
        env=_environment(home),
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert (done.stdout == "") == (" >&-" in f" {closed}")


def _environment(home: Path) -> dict[str, str]:
    return {"HOME": str(home), "PATH": "/usr/bin:/bin"}

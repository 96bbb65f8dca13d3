"""What each command does, against a facilitator that a test has planned."""

import json
import os
import pty
import stat
import tomllib
from pathlib import Path

import pytest

from tests.cli.conftest import Horde
from tests.conftest import VALIDATOR
from tests.facilitator import FakeFacilitator

ENDED = ["sent", "accepted", "completed"]
FAILED = {
    "status": "failed",
    "metadata": {
        "job_failure_details": {
            "reason": "nonzero_return_code",
            "stage": "execution",
            "message": "The job exited with status 3",
            "docker_process_exit_status": 3,
        }
    },
}


def test_a_login_is_tried_and_stored_without_secrets(
    horde: Horde, facilitator: FakeFacilitator, home: Path
) -> None:
    stored = home / ".config" / "horde" / "config.toml"

    profile = tomllib.loads(stored.read_text())["default"]
    assert (profile["wallet"], profile["hotkey"]) == ("my-wallet", "my-hotkey")
    assert profile["validator"] == VALIDATOR
    assert stat.S_IMODE(stored.stat().st_mode) == 0o600
    assert facilitator.logins == 1


def test_a_login_asks_for_what_is_missing(anybody: Horde, facilitator_url: str, home: Path) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, f"{VALIDATOR}\n\nmy-hotkey\n".encode())
    with os.fdopen(theirs) as terminal:
        said = anybody(
            *("login", "--facilitator-url", facilitator_url, "--wallet", "my-wallet"),
            given=terminal,
        )
    os.close(ours)

    stored = tomllib.loads((home / ".config" / "horde" / "config.toml").read_text())
    assert (said.status, said.out.strip()) == (0, "")
    assert [said.err.count(words) for words in ("Hotkey (SS58)", "Folder", "Its hotkey")] == [1] * 3
    assert "Facilitator" not in said.err
    assert stored == {
        "default": {
            "facilitator_url": facilitator_url,
            "validator": VALIDATOR,
            "wallet": "my-wallet",
            "hotkey": "my-hotkey",
            "wallet_path": str(home / ".bittensor" / "wallets"),
        }
    }


def test_a_run_ends_as_its_job_and_prints_what_it_wrote(
    horde: Horde, facilitator: FakeFacilitator
) -> None:
    facilitator.plans.append([*ENDED])

    said = horde("run", "-e", "A=1", "alpine:3.20", "sh", "-c", "echo -n x")

    assert (said.status, said.out) == (0, "")
    assert "completed" in said.err
    body = json.loads(
        next(r for r in facilitator.requests if r.url.path.endswith("/job-docker/")).content
    )
    assert body["args"] == ["sh", "-c", "echo -n x"]
    assert body["env"] == {"A": "1"}
    assert (body["executor_class"], body["job_namespace"]) == ("always_on.test", "SN12.0")


def test_the_exit_status_is_the_jobs(horde: Horde, facilitator: FakeFacilitator) -> None:
    facilitator.plans.append(["sent", FAILED])

    said = horde("run", "alpine:3.20")

    assert said.status == 3
    assert "The job exited with status 3" in said.err


def test_a_job_file_says_all_and_flags_count_more(
    horde: Horde, facilitator: FakeFacilitator, home: Path
) -> None:
    (home / "work" / "job.yaml").write_text(
        "image: alpine:3.20\n"
        "args: [sleep, 1.10]\n"
        "env: {DEBUG: no, A: file}\n"
        "artifacts: /artifacts\n"
        "input:\n"
        "  /volume/data.json: https://files.test/data.json\n"
        "output:\n"
        "  /output/x: {url: https://files.test/x, http_method: PUT}\n"
        "limits: {execution: 7}\n"
    )

    said = horde("run", "-f", "job.yaml", "-e", "A=flag", "--limits", "upload=9", "--dry-run")

    asked = json.loads(said.out)
    assert said.status == 0
    assert (asked["docker_image"], asked["args"]) == ("alpine:3.20", ["sleep", "1.10"])
    assert asked["env"] == {"DEBUG": "no", "A": "flag"}
    assert (asked["execution_time_limit"], asked["upload_time_limit"]) == (7, 9)
    assert asked["volumes"][0]["relative_path"] == "data.json"
    assert asked["uploads"][0]["relative_path"] == "x"
    assert facilitator.calls == []


def test_toml_and_stdin_are_job_files_too(horde: Horde, home: Path) -> None:
    (home / "work" / "job.toml").write_text('image = "alpine:3.20"\nargs = ["a"]\n')

    toml = json.loads(horde("run", "-f", "job.toml", "--dry-run").out)
    piped = json.loads(horde("run", "-f", "-", "--dry-run", given="image: alpine:3.20").out)

    assert (toml["args"], piped["args"]) == (["a"], [])
    assert toml["docker_image"] == piped["docker_image"] == "alpine:3.20"


def test_jobs_are_listed_shown_and_cancelled(horde: Horde, facilitator: FakeFacilitator) -> None:
    job = facilitator.add_job("sent", "accepted", "accepted", "accepted", "accepted")

    listed = horde("jobs", "--json")
    shown = horde("show", job.uuid)
    cancelled = horde("cancel", job.uuid)

    assert [each["uuid"] for each in json.loads(listed.out)] == [job.uuid]
    assert job.uuid in shown.out
    assert "timeline" in shown.out
    assert cancelled.status == 0
    assert f"POST /api/v1/jobs/{job.uuid}/cancel/" in facilitator.calls


def test_logs_go_where_the_job_wrote_them(horde: Horde, facilitator: FakeFacilitator) -> None:
    job = facilitator.add_job("completed")
    job.written = ["one\n", "two\n", "three\n"]

    said = horde("logs", job.uuid)

    assert (said.status, said.out) == (0, "one\ntwo\nthree\n")


def test_a_report_carries_its_details(horde: Horde, facilitator: FakeFacilitator) -> None:
    jobs = [facilitator.add_job("completed") for _ in range(2)]

    said = horde("report", jobs[0].uuid, jobs[1].uuid, "--details", '{"expected": 4}')

    assert said.status == 0
    assert facilitator.last_body == {
        "job_uuid": jobs[0].uuid,
        "trusted_job_uuid": jobs[1].uuid,
        "details": {"expected": 4},
    }


def test_classes_are_known_without_a_network(anybody: Horde) -> None:
    found = json.loads(anybody("classes", "--json").out)

    assert "always_on.llm.a6000" in str(found)


def test_the_doctor_finds_what_is_missing_and_says_what_to_do(anybody: Horde) -> None:
    said = anybody("doctor", "--facilitator-url", "http://127.0.0.1:1")

    assert said.status == 1
    assert "Run `horde login`" in said.out
    assert "gives no answer" in said.out


def test_the_doctor_is_content_after_a_login(horde: Horde) -> None:
    found = json.loads(horde("doctor", "--json").out)

    verdicts = {check["name"]: check["verdict"] for check in found}
    assert {verdicts[name] for name in ("hotkey", "facilitator", "login")} == {"good"}


WRONG: dict[str, tuple[list[str], int, str]] = {
    "no such command": (["frob"], 2, "No such command"),
    "no such flag": (["run", "--frob", "x"], 2, "No such option"),
    "no image": (["run"], 2, "no image is named"),
    "bad image": (["run", "my image"], 2, "docker_image"),
    "bad class": (["run", "-c", "A6000 please", "a:b"], 2, "executor_class"),
    "bad limit name": (["run", "--limits", "foo=1", "a:b"], 2, "unknown name 'foo'"),
    "bad limit": (["run", "--limits", "execution=x", "a:b"], 2, "must be a whole number"),
    "bad env": (["run", "-e", "=x", "a:b"], 2, "KEY=VALUE"),
    "no such input": (["run", "-i", "/volume/a=/nonexistent", "a:b"], 2, "/nonexistent"),
    "input elsewhere": (["run", "-i", "/etc/a=https://f.test/a", "a:b"], 2, "/volume/"),
    "output without URL": (["run", "-o", "/output/a=x", "a:b"], 2, "http"),
    "relative artifacts": (["run", "--artifacts", "a", "a:b"], 2, "artifacts_dir"),
    "no such file": (["run", "-f", "absent.yaml"], 2, "absent.yaml cannot be read"),
    "zero attempts": (["run", "--attempts", "0", "a:b"], 2, "attempts"),
    "detached and local": (["run", "-d", "--local", "a:b"], 2, "--detach"),
    "no uuid": (["show", "a/b"], 2, "no job's uuid"),
    "unknown job": (["logs", "00000000-0000-4000-8000-000000000009"], 125, "no such job"),
    "no JSON": (["report", "a", "b", "--details", "{"], 2, "no JSON"),
    "bad status": (["jobs", "--status", "happy"], 2, "happy"),
    "no bucket": (["upload-url", "https://x"], 2, "names no file in a bucket"),
    "too long": (["upload-url", "s3://b/k", "--expires", "9999999"], 2, "7 days"),
    "no such profile": (["jobs", "--profile", "absent"], 2, "absent"),
}


@pytest.mark.parametrize(("words", "status", "told"), WRONG.values(), ids=WRONG.keys())
def test_wrong_arguments_are_told_in_a_sentence(
    horde: Horde, words: list[str], status: int, told: str
) -> None:
    said = horde(*words)

    assert said.status == status, said
    assert told in said.err
    assert said.out == ""


YAML: dict[str, tuple[str, str]] = {
    "unknown name": ("image: a\nimges: b\n", "line 2: unknown name 'imges'"),
    "name of the SDK": ("docker_image: a\n", "Did you mean 'image'?"),
    "twice": ("image: a\nimage: b\n", "line 2: 'image' stands there twice"),
    "no YAML": ("image: [", "is no YAML"),
    "alias in itself": ("image: a\nargs: &a [*a]\n", "an alias that stands in itself"),
    "no mapping": ("- a\n", "is no job"),
    "list for text": ("image: [a]\n", "line 1: image must be a text"),
    "two kinds of input": (
        "image: a\ninput: {/volume/a: {url: 'https://a', path: b}}\n",
        "exactly one of url, path and repo_id",
    ),
}


@pytest.mark.parametrize(("text", "told"), YAML.values(), ids=YAML.keys())
def test_faults_of_a_job_file_are_told_with_their_line(horde: Horde, text: str, told: str) -> None:
    said = horde("run", "-f", "-", given=text)

    assert said.status == 2
    assert told in said.err


def test_every_command_has_help_with_an_example(anybody: Horde) -> None:
    commands = ["run", "jobs", "show", "logs", "cancel", "report", "login", "doctor", "upload-url"]

    for command in commands:
        said = anybody(command, "--help")
        assert (said.status, f"horde {command}" in said.out) == (0, True), said


def test_completion_is_there(anybody: Horde) -> None:
    said = anybody("--show-completion", "bash")

    assert said.status == 0
    assert "_HORDE_COMPLETE" in said.out

"""Where settings come from, and files of settings that are no good."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from compute_horde_sdk.cli.settings import Settings, read_profiles, save_profile
from tests.cli.conftest import Horde
from tests.conftest import VALIDATOR
from tests.facilitator import FakeFacilitator

DRY = ("run", "--dry-run", "a:b")


def _validator_and_class(out: str) -> tuple[str, str]:
    asked = json.loads(out)
    return asked["target_validator_hotkey"], asked["executor_class"]


def test_flags_count_more_than_variables_and_these_more_than_the_profile(horde: Horde) -> None:
    variables = {"HORDE_VALIDATOR": "5Variable", "HORDE_CLASS": "always_on.gpu-24gb"}

    stored = horde(*DRY)
    varied = horde(*DRY, env=variables)
    flagged = horde("run", "--validator", "5Flag", "--dry-run", "a:b", env=variables)

    assert _validator_and_class(stored.out) == (VALIDATOR, "always_on.test")
    assert _validator_and_class(varied.out) == ("5Variable", "always_on.gpu-24gb")
    assert _validator_and_class(flagged.out) == ("5Flag", "always_on.gpu-24gb")


def test_profiles_stand_side_by_side(horde: Horde, facilitator_url: str, home: Path) -> None:
    said = horde(
        *("login", "--profile", "other", "--validator", "5Other", "--wallet", "my-wallet"),
        *("--hotkey", "my-hotkey", "--facilitator-url", facilitator_url),
        *("--class", "always_on.test", "--namespace", 'quoted "name"'),
    )
    other = horde(*DRY, env={"HORDE_PROFILE": "other"})
    default = horde(*DRY)

    assert said.status == 0
    assert _validator_and_class(other.out)[0] == "5Other"
    assert json.loads(other.out)["job_namespace"] == 'quoted "name"'
    assert _validator_and_class(default.out)[0] == VALIDATOR


def test_a_login_that_is_refused_stores_nothing(
    anybody: Horde, facilitator: FakeFacilitator, facilitator_url: str, home: Path
) -> None:
    said = anybody(
        *("login", "--wallet", "my-wallet", "--hotkey", "absent", "--validator", VALIDATOR),
        *("--facilitator-url", facilitator_url),
    )

    assert (said.status, said.out) == (2, "")
    assert "my-wallet/my-hotkey" in said.err
    assert not (home / ".config").exists()


BROKEN = {
    "no TOML": ("[default\n", "cannot be read"),
    "unknown key": ('[default]\nvalidater = "x"\n', "unknown key 'validater'"),
    "no text": ("[default]\nvalidator = 1\n", "validator of profile default is no text"),
    "no profile": ('validator = "x"\n', "outside of a profile"),
}


@pytest.mark.parametrize(("text", "told"), BROKEN.values(), ids=BROKEN.keys())
def test_a_file_that_is_no_good_is_named(anybody: Horde, home: Path, text: str, told: str) -> None:
    file = home / ".config" / "horde" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(text)

    said = anybody("jobs")

    assert said.status == 2
    assert str(file) in said.err
    assert told in said.err


def test_a_facilitator_out_of_reach_is_no_traceback(horde: Horde) -> None:
    said = horde("show", "--facilitator-url", "http://127.0.0.1:1", "0" * 36)

    assert (said.status, said.out) == (125, "")
    assert "`horde doctor` looks for the reason." in said.err


def test_an_artifact_cannot_leave_its_folder(
    horde: Horde, facilitator: FakeFacilitator, home: Path
) -> None:
    job = facilitator.add_job("completed")
    job.members |= {"artifacts": {"/artifacts/../../x": "eA=="}, "artifacts_dir": "/artifacts"}

    said = horde("show", job.uuid, "--save-artifacts", "here")

    assert said.status == 125
    assert "cannot be saved" in said.err
    assert not (home / "x").exists()


def test_a_job_that_the_network_failed_is_sent_again(
    horde: Horde, facilitator: FakeFacilitator
) -> None:
    rejection = {"reason": "busy", "message": "no slot", "rejected_by": "miner"}
    rejected = {"status": "rejected", "metadata": {"job_rejection_details": rejection}}
    facilitator.plans.extend([["sent", rejected], ["sent", "completed"]])

    said = horde("run", "alpine:3.20")
    facilitator.plans.append(["sent", rejected])
    once = horde("run", "--attempts", "1", "alpine:3.20")

    assert said.status == 0
    assert "rejected by the miner (busy): no slot; it is sent again" in said.err
    assert once.status == 121
    assert "`horde classes` lists them." in once.err


def test_without_the_extra_it_says_what_to_install(
    anybody: Horde, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "typer", None)

    said = anybody("jobs")

    assert (said.status, said.out) == (2, "")
    assert "pip install 'compute-horde-sdk[cli]'" in said.err


def test_an_answer_that_is_no_answer_is_a_sentence(
    horde: Horde, facilitator: FakeFacilitator
) -> None:
    facilitator.trouble.append(httpx.Response(200, content=b"\xff"))

    said = horde("show", "0" * 36)

    assert said.status == 125
    assert said.err.startswith("error: ComputeHorde returned malformed response")


def test_a_home_that_nobody_knows_is_a_sentence(anybody: Horde) -> None:
    said = anybody("jobs", env={"XDG_CONFIG_HOME": "~nobody-of-that-name/x"})

    assert (said.status, said.out) == (2, "")
    assert "Set HOME or XDG_CONFIG_HOME." in said.err


def test_a_file_of_variables_is_taken_as_it_is_written(horde: Horde, home: Path) -> None:
    file = home / "work" / "variables"
    file.write_bytes("\ufeffA=1\r\n# no\r\nexport  B=2\nC= x\x0cy\u2028z ".encode())

    said = horde("run", "--env-file", "variables", "--dry-run", "a:b")
    file.write_bytes(b"A=\xff")
    wrong = horde("run", "--env-file", "variables", "--dry-run", "a:b")

    assert json.loads(said.out)["env"] == {"A": "1", "B": "2", "C": " x\x0cy\u2028z "}
    assert (wrong.status, wrong.out) == (2, "")
    assert "variables is no text in UTF-8" in wrong.err


def test_profiles_that_are_saved_at_once_are_all_kept(tmp_path: Path) -> None:
    file = tmp_path / "horde" / "config.toml"
    names = [f"profile-{number}" for number in range(20)]

    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(lambda name: save_profile(file, name, Settings(wallet=name)), names))

    assert read_profiles(file) == {name: {"wallet": name} for name in names}
    assert sorted(path.name for path in file.parent.iterdir()) == ["config.lock", "config.toml"]

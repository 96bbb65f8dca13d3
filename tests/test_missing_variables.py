"""What every command says, doctor among them, where variables are missing: all of them at once."""

import os
import subprocess
import sys

import pytest

COMMON = ["SECRET_KEY", "DATABASE_URL", "REDIS_URL"]


@pytest.mark.parametrize(
    ("service", "missing"),
    [("facilitator", [*COMMON, "JWT_SECRET"]), ("validator", COMMON), ("miner", COMMON)],
)
def test_doctor_names_all_variables_that_are_missing(service: str, missing: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "django", "doctor"],
        env={"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": f"{service}.settings"},
        capture_output=True,
        text=True,
        check=False,
    )

    lines = "".join(f"  {name}: is missing\n" for name in missing)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"The environment is not complete or not valid:\n{lines}"

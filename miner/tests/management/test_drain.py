"""``drain`` as operators start it: a process of its own beside the miner's."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from django.db import connection

from compute_horde_common.chain.keys import Hotkey
from compute_horde_common.contrib.django import serving
from miner.services import jobs
from tests import examples, jobs_of_rows

pytestmark = pytest.mark.django_db(transaction=True)
WITHIN = 30.0
Drain = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def drain() -> Iterator[Drain]:
    """Starts the command on the tests' database."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "django", "drain", *arguments]
        process = subprocess.Popen(
            command,
            env={**os.environ, "DATABASE_URL": database_url(), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def database_url() -> str:
    base, _, _ = os.environ["DATABASE_URL"].rpartition("/")
    return f"{base}/{quote(str(connection.settings_dict['NAME']))}"


def line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_it_ends_when_the_last_job_has_ended_and_serving_stays_off(
    drain: Drain, alice: Hotkey
) -> None:
    now = datetime.now(UTC)
    offer, _ = jobs_of_rows.running(alice, now)

    process = drain("--wait", str(WITHIN))
    said = [line(process), line(process)]
    jobs_of_rows.finish(offer, now)
    jobs.close(examples.finished(offer, alice, now), validator=alice.ss58, at=now)
    rest, errors = process.communicate(timeout=WITHIN)

    assert said == [
        "Serving is off: no new jobs are taken.",
        f"1 job runs: {offer.job_uuid} started",
    ]
    assert (process.returncode, rest.splitlines()[-1], errors) == (0, "No job runs.", "")
    assert not serving.is_serving()


def test_what_is_interrupted_says_that_serving_stays_off(drain: Drain, alice: Hotkey) -> None:
    jobs_of_rows.running(alice, datetime.now(UTC))

    process = drain()
    said = [line(process), line(process)]
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=WITHIN)

    assert said[0] == "Serving is off: no new jobs are taken."
    assert process.returncode == 130
    assert errors == (
        "CommandError: Interrupted. Serving stays off; `drain` waits again,"
        " `drain --end` ends it.\n"
    )
    assert not serving.is_serving()

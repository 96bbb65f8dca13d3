"""What the admin's pages say, and do not say, and what cannot be done on them."""

import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from compute_horde_common.chain.keys import Hotkey
from compute_horde_common.contrib.django.intruder import (
    everything,
    follow_filters,
    pages_by_rights,
    try_to_write,
)
from compute_horde_common.contrib.django.models import StoredReceipt
from compute_horde_common.jobs.failures import HordeFailure, JobFailure
from compute_horde_common.protocol.base import Message, encode
from compute_horde_common.protocol.live import JobLog, JobProgress, LogPiece
from compute_horde_common.protocol.validator_miner import (
    ExecutorReady,
    HordeFailed,
    JobFailedReport,
    JobFinished,
)
from miner.models import BlacklistedValidator, Executor, Job, Slot, Validator
from tests import examples

pytestmark = pytest.mark.django_db

Queries = Callable[[int], AbstractContextManager[object]]

JOBS = "/admin/miner/job/"
SCRIPT = "<script>alert(1)</script>"
TOKEN = "0123456789abcdef"
READ_ONLY = {"Executor", "Job", "Slot", "StoredReceipt"}
EDITABLE = {"BlacklistedValidator", "Group", "Outbox", "Serving", "User", "Validator"}


@pytest.fixture
def job(alice: Hotkey, at: datetime) -> Job:
    """One that runs on an executor in a slot."""
    made = Job.objects.create(
        job_uuid=uuid4(),
        validator=alice.ss58,
        executor_class=examples.CLASS,
        start='{"docker_run_cmd": ["true"], "env": {"PASSWORD": "swordfish"}}',
        accepted_at=at,
        deadline=at,
        last_activity=at,
    )
    slot = Slot.objects.create(executor_class=examples.CLASS, index=0, lease=made)
    Executor.objects.create(
        token=TOKEN,
        slot=slot,
        executor_class=examples.CLASS,
        manager="process",
        job=made,
        created_at=at,
    )
    return made


def say(job: Job, message: Message, at: datetime) -> None:
    """Something to the validator."""
    kind, position = type(message).__name__, job.messages.count()
    job.messages.create(position=position, kind=kind, text=encode(message), said_at=at)


def end(job: Job, message: Message, at: datetime) -> None:
    say(job, message, at)
    Job.objects.filter(pk=job.pk).update(ended_at=at + timedelta(seconds=90), state="ended")


def log_of(job: Job, number: int, text: str) -> JobLog:
    piece = LogPiece(number=number, stream="stdout", text=text)
    return JobLog(job_uuid=str(job.job_uuid), pieces=[piece])


def html_of(client: Client, address: str) -> str:
    return client.get(address).content.decode()


def text_of(client: Client, address: str) -> str:
    """What is read on a page."""
    return " ".join(re.sub(r"<[^>]*>", " ", html_of(client, address)).split())


def queries_of(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        client.get(address)
    return len(captured)


def test_a_job_shows_its_timeline_with_what_was_said(
    admin_client: Client, job: Job, at: datetime
) -> None:
    say(job, JobProgress(job_uuid=str(job.job_uuid), percent=40, text="half way"), at)
    say(job, log_of(job, 0, "step 1"), at)

    page = text_of(admin_client, f"{JOBS}{job.pk}/change/")

    assert "2026-01-01 00:00:00 + 0 ms JobProgress" in page
    assert "half way" in page
    assert ("JobLog" in page, "step 1" in page) == (False, True)


def test_a_job_its_slot_and_its_executor_lead_to_each_other(admin_client: Client, job: Job) -> None:
    slot, executor = Slot.objects.get(), Executor.objects.get()
    places = {"job": job.pk, "slot": slot.pk, "executor": executor.pk}
    addresses = {name: f"/admin/miner/{name}/{pk}/change/" for name, pk in places.items()}

    pages = {name: html_of(admin_client, address) for name, address in addresses.items()}

    for name, page in pages.items():
        others = [address for other, address in addresses.items() if other != name]
        assert [f'href="{address}"' in page for address in others] == [True, True]
    assert f'href="/admin/miner/validator/?q={job.validator}"' in pages["job"]


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (
            JobFailure(
                reason="timeout",
                stage="volume_download",
                message="too slow",
                docker_process_exit_status=137,
            ),
            "The job went wrong, stage volume download: too slow (timeout, exit status 137).",
        ),
        (
            HordeFailure(reported_by="executor", reason="generic_error", message="no disk"),
            "The network failed the job. The executor: no disk (generic_error).",
        ),
    ],
)
def test_a_job_says_in_words_why_it_ended(
    admin_client: Client, job: Job, at: datetime, failure: JobFailure | HordeFailure, words: str
) -> None:
    kind = JobFailedReport if isinstance(failure, JobFailure) else HordeFailed
    end(job, kind.of(str(job.job_uuid), failure), at)

    page = text_of(admin_client, f"{JOBS}{job.pk}/change/")

    assert words in page
    assert "1 min 30 s" in page


def test_a_job_whose_messages_are_deleted_still_says_how_it_ended(
    admin_client: Client, job: Job, at: datetime
) -> None:
    Job.objects.update(ended_at=at, closed_at=at, outcome="timeout: it took too long")

    page = text_of(admin_client, f"{JOBS}{job.pk}/change/")

    assert "timeout: it took too long" in page
    assert "What was said about the job was deleted." in page


def test_a_job_shows_what_it_left_and_nothing_of_it_is_a_part_of_the_page(
    admin_client: Client, job: Job, at: datetime
) -> None:
    left = JobFinished(
        job_uuid=str(job.job_uuid),
        docker_process_stdout=SCRIPT,
        docker_process_stderr="",
        artifacts={SCRIPT: "aGk="},
    )
    end(job, left, at)

    page = html_of(admin_client, f"{JOBS}{job.pk}/change/")
    saved = admin_client.get(f"{JOBS}{job.pk}/result/artifact/0/")

    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert(1)") == 4
    assert (saved.content, saved.headers["Content-Type"]) == (b"hi", "application/octet-stream")


def test_a_long_message_is_named_by_its_length(
    admin_client: Client, job: Job, at: datetime
) -> None:
    said = JobFinished(
        job_uuid=str(job.job_uuid), docker_process_stdout="x" * 9000, docker_process_stderr=""
    )
    end(job, said, at)

    page = text_of(admin_client, f"{JOBS}{job.pk}/change/")

    assert f"JobFinished ({len(encode(said))} characters)" in page


def test_no_page_shows_a_credential(admin_client: Client, job: Job, at: datetime) -> None:
    say(job, ExecutorReady(job_uuid=str(job.job_uuid), executor_token=TOKEN), at)
    executor = Executor.objects.get()
    addresses = (
        *("/admin/miner/job/", f"{JOBS}{job.pk}/change/", "/admin/miner/slot/"),
        *("/admin/miner/executor/", f"/admin/miner/executor/{executor.pk}/change/"),
    )

    pages = "".join(html_of(admin_client, address) for address in addresses)

    assert ("PASSWORD" in pages, "swordfish" in pages) == (True, False)
    assert (TOKEN[:8] in pages, TOKEN[:9] in pages) == (True, False)


def test_a_slot_says_why_it_is_not_offered(admin_client: Client, job: Job, at: datetime) -> None:
    Slot.objects.update(unfit="the driver is too old", unfit_at=at)

    listed = text_of(admin_client, "/admin/miner/slot/?unfit__isempty=0")

    assert "the driver is too old" in listed


def test_a_validator_that_is_blacklisted_is_marked(admin_client: Client, alice: Hotkey) -> None:
    Validator.objects.create(hotkey=alice.ss58)
    BlacklistedValidator.objects.create(hotkey=alice.ss58)

    page = admin_client.get("/admin/miner/validator/")

    assert [row.blacklisted for row in page.context["cl"].result_list] == [True]


@pytest.mark.parametrize("name", ["job", "slot", "executor"])
def test_whole_uuids_of_jobs_are_found(admin_client: Client, job: Job, name: str) -> None:
    found = [
        admin_client.get(f"/admin/miner/{name}/", {"q": text}).context["cl"].result_count
        for text in (job.job_uuid.hex, uuid4(), "nonsense \0")
    ]

    assert found[:2] == [1, 0]


def test_every_filter_of_every_list_can_be_used(admin_client: Client, job: Job) -> None:

    statuses = follow_filters(admin_client)

    assert len(statuses) > 50
    assert set(statuses.values()) == {200}


def test_nothing_can_be_written_where_pages_say_that_they_are_read_only(
    admin_client: Client, admin_user: User, job: Job, at: datetime
) -> None:
    receipt = StoredReceipt.objects.create(job_uuid=job.job_uuid, timestamp=at)
    rows = [job, Slot.objects.get(), Executor.objects.get(), receipt]
    before = everything()

    statuses = set().union(*(try_to_write(admin_client, row) for row in rows))

    assert everything() == before
    assert statuses <= {200, 302, 403, 405}
    assert {type(row).__name__ for row in rows} == READ_ONLY
    assert pages_by_rights(admin_user) == (READ_ONLY, EDITABLE)


@pytest.mark.parametrize("table", ["job", "slot", "executor", "validator", "blacklistedvalidator"])
def test_lists_take_as_many_queries_for_100_rows_as_for_one(
    admin_client: Client, django_assert_num_queries: Queries, job: Job, at: datetime, table: str
) -> None:
    Validator.objects.create(hotkey="v")
    BlacklistedValidator.objects.create(hotkey="v")
    counted = queries_of(admin_client, f"/admin/miner/{table}/")
    for number in range(99):
        more = Job.objects.get(pk=job.pk)
        more.pk, more.job_uuid = None, UUID(int=number)
        more.save()
        slot = Slot.objects.create(executor_class="c", index=number, lease=more)
        Executor.objects.create(token=str(number), slot=slot, job=more, created_at=at)
        Validator.objects.create(hotkey=f"v{number}")
        BlacklistedValidator.objects.create(hotkey=f"v{number}")

    with django_assert_num_queries(counted):
        page = admin_client.get(f"/admin/miner/{table}/")

    assert len(page.context["cl"].result_list) == 100
    assert counted <= 8


def test_a_job_takes_as_many_queries_however_much_was_said(
    admin_client: Client, django_assert_num_queries: Queries, job: Job, at: datetime
) -> None:
    counted = queries_of(admin_client, f"{JOBS}{job.pk}/change/")
    for number in range(50):
        say(job, log_of(job, number, "x"), at)
        say(job, ExecutorReady(job_uuid=str(job.job_uuid)), at)

    with django_assert_num_queries(counted):
        admin_client.get(f"{JOBS}{job.pk}/change/")
    assert counted <= 7


@pytest.mark.parametrize("table", ["validator", "blacklistedvalidator"])
@pytest.mark.parametrize("hotkey", ["5nobody", "\0", " ", "5" * 48, ""])
def test_what_is_no_address_is_refused_in_every_form(
    admin_client: Client, table: str, hotkey: str
) -> None:
    before = everything()

    answer = admin_client.post(f"/admin/miner/{table}/add/", {"hotkey": hotkey, "active": "on"})

    assert answer.context["errors"]
    assert everything() == before


@pytest.mark.parametrize("table", ["validator", "blacklistedvalidator"])
def test_a_hotkey_is_added_once_and_stays(
    admin_client: Client, table: str, alice: Hotkey, bob: Hotkey
) -> None:
    address = f"/admin/miner/{table}/"
    first, again = (admin_client.post(f"{address}add/", {"hotkey": bob.ss58}) for _ in range(2))
    row = (Validator if table == "validator" else BlacklistedValidator).objects.get()
    admin_client.post(f"{address}{row.pk}/change/", {"hotkey": alice.ss58})
    row.refresh_from_db()

    assert first.status_code == 302
    assert "already exists" in again.content.decode()
    assert row.hotkey == bob.ss58


def test_only_people_are_sent_to_https(client: Client, settings: LazySettings) -> None:
    settings.SECURE_SSL_REDIRECT = True

    answers = [client.get(path) for path in ("/health", "/version", "/receipts/0.jsonl", "/admin/")]

    assert [answer.status_code for answer in answers] == [200, 200, 404, 301]


@pytest.mark.parametrize("https", ["true", "false"])
def test_there_is_nothing_to_say_against_a_deployment(https: str) -> None:
    environment = {**os.environ, "HTTPS": https, "SECRET_KEY": secrets.token_urlsafe(48)}
    command = [sys.executable, "-m", "django", "check", "--deploy", "--fail-level", "DEBUG"]

    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert "no issues" in done.stdout + done.stderr
    assert done.returncode == 0

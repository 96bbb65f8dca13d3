"""What the admin's pages say, and do not say, and what cannot be done on them."""

import base64
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from urllib.parse import quote

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User as Operator
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext

from compute_horde_common.contrib.django.intruder import (
    everything,
    follow_filters,
    pages_by_rights,
    try_to_write,
)
from compute_horde_common.contrib.django.models import StoredReceipt
from compute_horde_common.contrib.django.rendering import SHOWN_CHARACTERS
from compute_horde_common.jobs.failures import HordeFailure, JobFailure, Rejection
from compute_horde_common.jobs.lifecycle import PROGRESS, JobStatus
from compute_horde_common.protocol.facilitator_validator import MinerResponse, StatusMetadata
from facilitator.models import (
    AllowedHotkey,
    CheatReport,
    Job,
    StatusChange,
    StoredPiece,
    ValidatorConnection,
)
from facilitator.services import jobs
from tests.scene import ALICE, BOB, LONG_AGO, a_job, connect_bob, now

pytestmark = pytest.mark.django_db

Queries = Callable[[int], AbstractContextManager[object]]

LIST = "/admin/facilitator/job/"
SCRIPT = "</pre><script>alert(1)</script>"
READ_ONLY = {"CheatReport", "Job", "StatusChange", "StoredReceipt", "ValidatorConnection"}
EDITABLE = {"AllowedHotkey", "Group", "Outbox", "User", "Validator"}


@pytest.fixture
def user() -> Operator:
    return Operator.objects.create_superuser("admin", password="x")


@pytest.fixture
def operator(user: Operator) -> Client:
    client = Client()
    client.force_login(user)
    return client


def completed(**left: object) -> Job:
    """A job that came out well and left this."""
    job = a_job()
    told = {"docker_process_stdout": "", "docker_process_stderr": "", **left}
    metadata = StatusMetadata(miner_response=MinerResponse.model_validate(told))
    jobs.move(job.uuid, JobStatus.COMPLETED, now(), metadata)
    return job


def page_of(operator: Client, job: Job) -> str:
    return operator.get(f"{LIST}{job.uuid}/change/").content.decode()


def text_of(page: str) -> str:
    """What is read on a page."""
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


def one_of_each() -> Iterator[Model]:
    yield (job := a_job())
    yield StatusChange.objects.get()
    yield ValidatorConnection.objects.get()
    yield CheatReport.objects.create(job=job, trusted_job=a_job(), details="{}", created_at=now())
    yield StoredReceipt.objects.create(job_uuid=job.uuid, timestamp=now())


def test_every_filter_of_every_list_can_be_used(operator: Client) -> None:
    list(one_of_each())

    statuses = follow_filters(operator)

    assert len(statuses) > 50
    assert set(statuses.values()) == {200}


def test_nothing_can_be_written_where_pages_say_that_they_are_read_only(
    operator: Client, user: Operator
) -> None:
    rows = list(one_of_each())
    before = everything()

    statuses = set().union(*(try_to_write(operator, row, but=("cancel",)) for row in rows))

    assert everything() == before
    assert statuses <= {200, 302, 403, 405}
    assert {type(row).__name__ for row in rows} == READ_ONLY
    assert pages_by_rights(user) == (READ_ONLY, EDITABLE)


def test_a_list_takes_as_many_queries_for_100_jobs_as_for_one(
    operator: Client, django_assert_num_queries: Queries
) -> None:
    a_job()
    with django_assert_num_queries(8):
        operator.get(LIST)
    for _ in range(99):
        a_job()

    with django_assert_num_queries(8):
        page = operator.get(LIST)

    assert len(page.context["cl"].result_list) == 100


def test_a_job_takes_as_many_queries_with_a_long_history(
    operator: Client, django_assert_num_queries: Queries
) -> None:
    job = a_job()
    with django_assert_num_queries(5):
        page_of(operator, job)
    for status in PROGRESS[1:]:
        jobs.move(job.uuid, status, now())
    StoredPiece.objects.bulk_create(
        StoredPiece(job=job, number=number, stream="stdout", text="x", at=now())
        for number in range(50)
    )

    with django_assert_num_queries(5):
        page_of(operator, job)


@pytest.mark.parametrize(
    "table", ["statuschange", "cheatreport", "validator", "validatorconnection"]
)
def test_other_lists_take_as_many_queries_for_more_rows(
    operator: Client, django_assert_num_queries: Queries, table: str
) -> None:
    address = f"/admin/facilitator/{table}/"
    first = a_job()
    CheatReport.objects.create(job=first, trusted_job=a_job(), details="{}", created_at=now())
    counted = _queries(operator, address)
    for _ in range(20):
        report = CheatReport(job=a_job(), trusted_job=first, details="{}", created_at=now())
        report.save()
        connect_bob()

    with django_assert_num_queries(counted):
        operator.get(address)


def _queries(operator: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        operator.get(address)
    return len(captured)


def test_output_and_artifacts_are_never_a_part_of_the_page(operator: Client) -> None:
    job = completed(
        docker_process_stdout=SCRIPT,
        docker_process_stderr=SCRIPT,
        artifacts={f"/artifacts/{SCRIPT}": "aGk="},
        upload_results={SCRIPT: f'{{"answer": "{SCRIPT}"}}'},
    )

    page = page_of(operator, job)

    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert(1)") == 5


def test_huge_output_is_cut_with_a_note(operator: Client) -> None:
    job = completed(docker_process_stdout="x" * SHOWN_CHARACTERS + "y" * 1234)

    page = page_of(operator, job)

    assert "1234 characters before this are not shown" in page
    assert "y" * 1234 in page
    assert "x" * SHOWN_CHARACTERS not in page


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/artifacts/answer.html", 'filename="answer.html"'),
        ('/artifacts/a"b\r\nSet-Cookie: x=1.html', 'filename="a\\"bSet-Cookie: x=1.html"'),
        ("/artifacts/żółw", "filename*=utf-8''%C5%BC%C3%B3%C5%82w"),
        ("\n", 'filename="artifact"'),
    ],
)
def test_an_artifact_is_saved_whatever_it_is_and_never_displayed(
    operator: Client, path: str, name: str
) -> None:
    content = b"<script>alert(1)</script>\0"
    job = completed(artifacts={path: base64.b64encode(content).decode()})

    saved = operator.get(f"{LIST}{job.uuid}/result/artifact/0/")

    assert saved.content == content
    assert saved.headers["Content-Disposition"] == f"attachment; {name}"
    assert saved.headers["Content-Type"] == "application/octet-stream"
    assert saved.headers["Content-Security-Policy"].startswith("sandbox")
    assert saved.headers["X-Content-Type-Options"] == "nosniff"


def test_output_is_saved_whole(operator: Client) -> None:
    job = completed(docker_process_stdout="ż" * 100_000, docker_process_stderr="!")

    saved = [operator.get(f"{LIST}{job.uuid}/result/{kind}/0/") for kind in ("stdout", "stderr")]

    assert [answer.content.decode() for answer in saved] == ["ż" * 100_000, "!"]


@pytest.mark.parametrize("what", ["artifact/1", "artifact/99999999999999999999", "secrets/0"])
def test_what_a_job_did_not_leave_is_not_found(operator: Client, what: str) -> None:
    job = completed(artifacts={"/artifacts/a": "aGk="})

    assert operator.get(f"{LIST}{job.uuid}/result/{what}/").status_code == 404


def test_results_are_for_operators_who_may_see_jobs(operator: Client) -> None:
    job = completed(docker_process_stdout="secret")
    stranger, clerk = Client(), Client()
    clerk.force_login(Operator.objects.create_user("clerk", is_staff=True))
    address = f"{LIST}{job.uuid}/result/stdout/0/"

    answers = [client.get(address) for client in (stranger, clerk)]

    assert [answer.status_code for answer in answers] == [302, 403]


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (
            Rejection(rejected_by="validator", reason="busy", message="all slots are taken"),
            "Nobody took the job. The validator: all slots are taken (busy).",
        ),
        (
            JobFailure(
                reason="nonzero_return_code",
                stage="execution",
                message="It exited.",
                docker_process_exit_status=3,
            ),
            "The job went wrong, stage execution: It exited (nonzero_return_code, exit status 3).",
        ),
        (
            HordeFailure(reported_by="miner", reason="unheard_of", message=""),
            "The network failed the job. The miner: no message (unheard_of).",
        ),
    ],
)
def test_a_job_says_in_words_why_it_ended(
    operator: Client, failure: Rejection | JobFailure | HordeFailure, words: str
) -> None:
    job = a_job()
    jobs.move(job.uuid, failure.status, now(), StatusMetadata.of_failure(failure))

    assert words in text_of(page_of(operator, job))


def test_a_jobs_page_shows_names_but_no_values_of_its_variables(operator: Client) -> None:
    job = a_job(env={"AWS_SECRET_ACCESS_KEY": "swordfish"})

    page = page_of(operator, job)

    assert "AWS_SECRET_ACCESS_KEY" in page
    assert "swordfish" not in page


def test_a_job_leads_to_its_validator_and_to_the_jobs_of_its_author(operator: Client) -> None:
    job = a_job()

    page = page_of(operator, job)

    assert f'href="/admin/facilitator/validator/{job.validator_id}/change/"' in page
    assert f'href="{LIST}?q={job.hotkey}"' in page
    assert operator.get(f"{LIST}?q={quote(job.hotkey)}").context["cl"].result_count == 1


def test_times_have_seconds_and_durations_are_for_people(operator: Client) -> None:
    job = a_job(LONG_AGO)
    jobs.move(job.uuid, JobStatus.COMPLETED, LONG_AGO + timedelta(seconds=65))

    listed = text_of(operator.get(LIST).content.decode())

    assert "2020-01-01 00:00:00 1 min 5 s" in listed


def test_metadata_that_cannot_be_read_do_not_break_the_page(operator: Client) -> None:
    job = completed()
    StatusChange.objects.filter(status="completed").update(metadata='{"miner_response": 3, ')

    assert "Nothing was said about it." in page_of(operator, job)


@pytest.mark.parametrize("table", ["allowedhotkey", "validator"])
@pytest.mark.parametrize(
    "hotkey", ["5nobody", "\0", " ", "5" * 48, "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQX"]
)
def test_what_is_no_address_is_refused_in_every_form(
    operator: Client, table: str, hotkey: str
) -> None:
    before = everything()

    answer = operator.post(f"/admin/facilitator/{table}/add/", {"ss58": hotkey, "active": "on"})

    assert answer.status_code == 200
    assert answer.context["errors"]
    assert everything() == before


@pytest.mark.parametrize("table", ["allowedhotkey", "validator"])
def test_a_hotkey_that_is_there_already_is_told(operator: Client, table: str) -> None:
    form = {"ss58": BOB.ss58, "active": "on"}
    operator.post(f"/admin/facilitator/{table}/add/", form)

    page = operator.post(f"/admin/facilitator/{table}/add/", form).content.decode()

    assert "with this Hotkey already exists" in page


def test_a_row_keeps_its_hotkey(operator: Client) -> None:
    operator.post("/admin/facilitator/allowedhotkey/add/", {"ss58": BOB.ss58})
    row = AllowedHotkey.objects.get()

    operator.post(
        f"/admin/facilitator/allowedhotkey/{row.pk}/change/", {"ss58": ALICE.ss58, "note": "Bob"}
    )

    assert list(AllowedHotkey.objects.values_list("ss58", "note")) == [(BOB.ss58, "Bob")]


@pytest.mark.parametrize(
    ("path", "status"), [("/health", 200), ("/version", 200), ("/admin/", 301)]
)
def test_only_people_are_sent_to_https(settings: LazySettings, path: str, status: int) -> None:
    settings.SECURE_SSL_REDIRECT = True

    assert Client().get(path).status_code == status


@pytest.mark.parametrize("https", ["true", "false"])
def test_there_is_nothing_to_say_against_a_deployment(https: str) -> None:
    environment = {**os.environ, "HTTPS": https, "SECRET_KEY": secrets.token_urlsafe(48)}
    command = [sys.executable, "-m", "django", "check", "--deploy", "--fail-level", "DEBUG"]

    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert "no issues" in done.stdout + done.stderr
    assert done.returncode == 0

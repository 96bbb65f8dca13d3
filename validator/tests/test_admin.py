"""What the admin's pages say, and do not say, and what cannot be done on them."""

import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from compute_horde_common.chain.keys import Hotkey, verify
from compute_horde_common.contrib.django.intruder import (
    everything,
    follow_filters,
    pages_by_rights,
    try_to_write,
)
from compute_horde_common.contrib.django.models import StoredReceipt
from compute_horde_common.jobs.failures import Rejection
from compute_horde_common.jobs.lifecycle import PROGRESS, JobStatus
from compute_horde_common.protocol.facilitator_validator import MinerResponse, StatusMetadata
from tests.samples import MakeRequest
from validator.domain.assignments import JobCase
from validator.models import (
    AllowedSigner,
    Attempt,
    Job,
    MinerManifest,
    MinerOnChain,
    Snapshot,
    StatusChange,
)
from validator.services import jobs, subnet

pytestmark = pytest.mark.django_db

Queries = Callable[[int], AbstractContextManager[object]]

LIST = "/admin/validator/job/"
SIGNERS = "/admin/validator/allowedsigner/"
SCRIPT = "<script>alert(1)</script>"
READ_ONLY = {
    *("Attempt", "Job", "MinerManifest", "MinerOnChain", "Snapshot", "StatusChange"),
    "StoredReceipt",
}
EDITABLE = {"AllowedSigner", "Group", "Outbox", "Serving", "User"}


@pytest.fixture
def job(alice: Hotkey, make_request: MakeRequest, at: datetime) -> JobCase:
    request = make_request(alice, env={"PASSWORD": "swordfish"})
    case = jobs.take(request, own=alice.ss58, verify=verify, at=at)
    assert case is not None
    jobs.move(case.uuid, JobStatus.ACCEPTED, at)
    return case


@pytest.fixture
def miner(bob: Hotkey, at: datetime) -> MinerOnChain:
    subnet.store_manifest(bob.ss58, {"always_on.test": 2}, at)
    return MinerOnChain.objects.create(hotkey=bob.ss58, uid=7, host="192.0.2.1", port=1, seen_at=at)


def an_attempt(job: JobCase, miner: MinerOnChain, at: datetime) -> Attempt:
    """One that its miner declined, after three seconds."""
    return Attempt.objects.create(
        job_id=job.uuid,
        miner_hotkey=miner.hotkey,
        host=miner.host,
        port=miner.port,
        executor_class="always_on.test",
        started_at=at,
        ended_at=at + timedelta(seconds=3),
        outcome="busy",
    )


def page_of(client: Client, address: str) -> str:
    """What is read on a page."""
    page = client.get(address).content.decode()
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


def queries_of(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        client.get(address)
    return len(captured)


def test_a_job_shows_its_history(admin_client: Client, job: JobCase) -> None:
    page = page_of(admin_client, f"{LIST}{job.uuid}/change/")

    assert "2026-01-01 00:00:00 + 0 ms accepted" in page
    assert "busybox:1" in page
    assert "It has not ended." in page


def test_a_job_shows_on_which_miners_it_was_tried_and_leads_there(
    admin_client: Client, job: JobCase, miner: MinerOnChain, at: datetime
) -> None:
    attempt = an_attempt(job, miner, at)
    address = f"{LIST}{job.uuid}/change/"

    page = admin_client.get(address).content.decode()

    assert "busy 3.0 s 192.0.2.1:1" in page_of(admin_client, address)
    assert f'href="/admin/validator/attempt/{attempt.pk}/change/"' in page
    assert f'href="/admin/validator/mineronchain/?q={miner.hotkey}"' in page


def test_an_attempt_and_a_miner_lead_back_to_the_job(
    admin_client: Client, job: JobCase, miner: MinerOnChain, at: datetime
) -> None:
    attempt = an_attempt(job, miner, at)
    addresses = (f"attempt/{attempt.pk}", f"mineronchain/{miner.pk}")

    pages = [admin_client.get(f"/admin/validator/{page}/change/") for page in addresses]

    link = f'href="{LIST}{job.uuid}/change/"'
    assert [link in page.content.decode() for page in pages] == [True, True]


def test_a_job_says_in_words_why_it_ended(admin_client: Client, job: JobCase, at: datetime) -> None:
    failure = Rejection(rejected_by="miner", reason="busy", message="no executor is free")
    jobs.settle(job.uuid, failure, at)

    page = page_of(admin_client, f"{LIST}{job.uuid}/change/")

    assert "Nobody took the job. The miner: no executor is free (busy)." in page


def test_a_job_shows_what_it_left_and_nothing_of_it_is_a_part_of_the_page(
    admin_client: Client, job: JobCase, at: datetime
) -> None:
    told = MinerResponse(
        docker_process_stdout=SCRIPT, docker_process_stderr="", artifacts={SCRIPT: "aGk="}
    )
    jobs.move(job.uuid, JobStatus.COMPLETED, at, StatusMetadata(miner_response=told))

    page = admin_client.get(f"{LIST}{job.uuid}/change/").content.decode()
    saved = admin_client.get(f"{LIST}{job.uuid}/result/artifact/0/")

    assert page.count("&lt;script&gt;alert(1)") == 2
    assert "<script>alert" not in page
    assert (saved.content, saved.headers["Content-Type"]) == (b"hi", "application/octet-stream")


def test_a_job_shows_names_but_no_values_of_its_variables(
    admin_client: Client, job: JobCase
) -> None:
    page = page_of(admin_client, f"{LIST}{job.uuid}/change/")

    assert ("PASSWORD" in page, "swordfish" in page) == (True, False)


def test_a_job_shows_when_its_author_cancelled_it(
    admin_client: Client, job: JobCase, at: datetime
) -> None:
    jobs.request_cancel(job.uuid, at)
    listed = admin_client.get(f"{LIST}?cancel_requested_at__isempty=0")

    assert "cancelled by its author" in page_of(admin_client, f"{LIST}{job.uuid}/change/")
    assert job.uuid in listed.content.decode()


@pytest.mark.parametrize("text", ["5Grwva", "SN12", "always_on", "%", "\0"])
def test_jobs_and_attempts_can_be_searched(admin_client: Client, job: JobCase, text: str) -> None:
    pages = [
        admin_client.get(f"/admin/validator/{name}/", {"q": text}) for name in ("job", "attempt")
    ]

    assert [page.status_code for page in pages] == [200, 200]


def test_a_miner_shows_what_it_offers(admin_client: Client, miner: MinerOnChain) -> None:
    pages = [
        page_of(admin_client, f"/admin/validator/{name}/")
        for name in ("mineronchain", "minermanifest")
    ]

    assert ["always_on.test: 2" in page for page in pages] == [True, True]


def test_every_filter_of_every_list_can_be_used(
    admin_client: Client, job: JobCase, miner: MinerOnChain, at: datetime
) -> None:
    an_attempt(job, miner, at)

    statuses = follow_filters(admin_client)

    assert len(statuses) > 50
    assert set(statuses.values()) == {200}


def test_nothing_can_be_written_where_pages_say_that_they_are_read_only(
    admin_client: Client, admin_user: User, job: JobCase, miner: MinerOnChain, at: datetime
) -> None:
    rows = [
        Job.objects.get(),
        StatusChange.objects.all()[0],
        an_attempt(job, miner, at),
        miner,
        MinerManifest.objects.get(),
        Snapshot.objects.create(block=1, fetched_at=at),
        StoredReceipt.objects.create(job_uuid=job.uuid, timestamp=at),
    ]
    before = everything()

    statuses = set().union(*(try_to_write(admin_client, row) for row in rows))

    assert everything() == before
    assert statuses <= {200, 302, 403, 405}
    assert {type(row).__name__ for row in rows} == READ_ONLY
    assert pages_by_rights(admin_user) == (READ_ONLY, EDITABLE)


@pytest.mark.parametrize(
    "table", ["job", "attempt", "statuschange", "mineronchain", "minermanifest", "allowedsigner"]
)
def test_lists_take_as_many_queries_for_100_rows_as_for_one(
    admin_client: Client,
    django_assert_num_queries: Queries,
    job: JobCase,
    miner: MinerOnChain,
    at: datetime,
    table: str,
) -> None:
    an_attempt(job, miner, at)
    AllowedSigner.objects.create(ss58=miner.hotkey)
    counted = queries_of(admin_client, f"/admin/validator/{table}/")
    for number in range(99):
        more = Job.objects.create(uuid=UUID(int=number), status="received", received_at=at)
        StatusChange.objects.create(job=more, status="received", at=at)
        an_attempt(JobCase(str(more.uuid), job.spec), miner, at)
        MinerOnChain.objects.create(hotkey=f"m{number}", uid=1, host="h", port=1, seen_at=at)
        MinerManifest.objects.create(hotkey=f"m{number}", counts={"a": 1}, fetched_at=at)
        AllowedSigner.objects.create(ss58=f"m{number}")

    with django_assert_num_queries(counted):
        page = admin_client.get(f"/admin/validator/{table}/")

    assert len(page.context["cl"].result_list) == 100
    assert counted <= 8


def test_a_job_takes_as_many_queries_with_a_long_history(
    admin_client: Client,
    django_assert_num_queries: Queries,
    job: JobCase,
    miner: MinerOnChain,
    at: datetime,
) -> None:
    for status in PROGRESS[3:]:
        jobs.move(job.uuid, status, at)
    for _ in range(50):
        an_attempt(job, miner, at)

    with django_assert_num_queries(5):
        admin_client.get(f"{LIST}{job.uuid}/change/")


@pytest.mark.parametrize("hotkey", ["5nobody", "\0", " ", "5" * 48, ""])
def test_a_signer_that_is_no_address_is_refused(admin_client: Client, hotkey: str) -> None:
    answer = admin_client.post(f"{SIGNERS}add/", {"ss58": hotkey})

    assert answer.context["errors"]
    assert not AllowedSigner.objects.exists()


def test_a_signer_is_added_once_and_keeps_its_hotkey(
    admin_client: Client, alice: Hotkey, bob: Hotkey
) -> None:
    first, again = (admin_client.post(f"{SIGNERS}add/", {"ss58": bob.ss58}) for _ in range(2))
    form = {"ss58": alice.ss58, "note": "Bob"}
    admin_client.post(f"{SIGNERS}{bob.ss58}/change/", form)

    assert first.status_code == 302
    assert "already exists" in again.content.decode()
    assert list(AllowedSigner.objects.values_list("ss58", "note")) == [(bob.ss58, "Bob")]


@pytest.mark.parametrize("https", ["true", "false"])
def test_there_is_nothing_to_say_against_a_deployment(https: str) -> None:
    environment = {**os.environ, "HTTPS": https, "SECRET_KEY": secrets.token_urlsafe(48)}
    command = [sys.executable, "-m", "django", "check", "--deploy", "--fail-level", "DEBUG"]

    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert "no issues" in done.stdout + done.stderr
    assert done.returncode == 0

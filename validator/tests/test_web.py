from datetime import datetime

import pytest
from django.test import Client

from compute_horde_common.chain.keys import Hotkey, verify
from compute_horde_common.jobs.lifecycle import JobStatus
from tests.samples import MakeRequest
from validator.domain.assignments import JobCase
from validator.services import jobs, subnet

pytestmark = pytest.mark.django_db


@pytest.fixture
def job(alice: Hotkey, make_request: MakeRequest, at: datetime) -> JobCase:
    case = jobs.take(make_request(alice), own=alice.ss58, verify=verify, at=at)
    assert case is not None
    jobs.move(case.uuid, JobStatus.ACCEPTED, at)
    return case


def test_the_front_page_is_the_admin(client: Client) -> None:
    assert client.get("/").headers["Location"] == "/admin/"


def test_health_and_version_need_no_login(client: Client) -> None:
    assert (client.get("/health").status_code, client.get("/version").json()["service"]) == (
        200,
        "validator",
    )


def test_a_job_shows_its_history(admin_client: Client, job: JobCase) -> None:
    page = admin_client.get(f"/admin/validator/job/{job.uuid}/change/").content.decode()

    assert "accepted" in page
    assert "busybox:1" in page


def test_a_job_shows_when_its_author_cancelled_it(
    admin_client: Client, job: JobCase, at: datetime
) -> None:
    jobs.request_cancel(job.uuid, at)
    page = admin_client.get(f"/admin/validator/job/{job.uuid}/change/").content.decode()
    listed = admin_client.get("/admin/validator/job/?cancel_requested_at__isempty=0")

    assert "Cancel requested at" in page
    assert at.strftime("%B") in page or at.strftime("%b") in page
    assert job.uuid in listed.content.decode()


@pytest.mark.parametrize(
    "model", ["job", "mineronchain", "minermanifest", "snapshot", "allowedsigner"]
)
def test_every_list_opens(admin_client: Client, job: JobCase, at: datetime, model: str) -> None:
    subnet.store_manifest("hot", {"always_on.test": 1}, at)

    assert admin_client.get(f"/admin/validator/{model}/").status_code == 200


def test_jobs_are_not_edited(admin_client: Client, job: JobCase) -> None:
    assert admin_client.post(f"/admin/validator/job/{job.uuid}/delete/").status_code == 403


def test_signers_are(admin_client: Client, bob: Hotkey) -> None:
    answer = admin_client.post("/admin/validator/allowedsigner/add/", {"ss58": bob.ss58})

    assert answer.status_code == 302

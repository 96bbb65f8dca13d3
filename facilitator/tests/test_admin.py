import pytest
from django.contrib.auth.models import User as Operator
from django.test import Client

from compute_horde_common.jobs.lifecycle import JobStatus
from facilitator.models import AllowedHotkey, Source, Validator
from facilitator.services import fleet, jobs
from tests.scene import ALICE, BOB, a_job, now

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> Client:
    client = Client()
    client.force_login(Operator.objects.create_superuser("admin", password="x"))
    return client


def test_the_root_leads_to_the_admin() -> None:
    assert Client().get("/")["Location"] == "/admin/"


def test_health_and_version_are_told() -> None:
    answers = [Client().get("/health"), Client().get("/version")]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[1].json()["service"] == "facilitator"


@pytest.mark.parametrize(
    "table",
    ["job", "statuschange", "validator", "validatorconnection", "allowedhotkey", "cheatreport"],
)
def test_every_table_can_be_looked_at(operator: Client, table: str) -> None:
    a_job()

    assert operator.get(f"/admin/facilitator/{table}/").status_code == 200


def test_a_job_shows_its_timeline(operator: Client) -> None:
    job = a_job()
    jobs.move(job.uuid, JobStatus.EXECUTOR_READY, now())

    page = operator.get(f"/admin/facilitator/job/{job.uuid}/change/").content.decode()

    assert "executor_ready" in page


@pytest.mark.parametrize("text", ["busybox", "not-a-uuid", ALICE.ss58])
def test_jobs_can_be_searched(operator: Client, text: str) -> None:
    a_job()

    assert operator.get("/admin/facilitator/job/", {"q": text}).status_code == 200


def test_jobs_cannot_be_changed(operator: Client) -> None:
    job = a_job()

    answer = operator.post(f"/admin/facilitator/job/{job.uuid}/change/", {"tag": "x"})

    assert answer.status_code == 403


def test_a_hotkey_can_be_allowed(operator: Client) -> None:
    operator.post("/admin/facilitator/allowedhotkey/add/", {"ss58": ALICE.ss58, "note": "Alice"})

    assert AllowedHotkey.objects.get().ss58 == ALICE.ss58


def test_what_is_no_address_cannot_be_allowed(operator: Client) -> None:
    answer = operator.post("/admin/facilitator/allowedhotkey/add/", {"ss58": "5nobody"})

    assert "This is no SS58 address" in answer.content.decode()
    assert not AllowedHotkey.objects.exists()


def test_a_validator_that_the_operator_saved_is_the_operators(operator: Client) -> None:
    fleet.store_validators([BOB.ss58])
    sockets = {"connections-TOTAL_FORMS": "0", "connections-INITIAL_FORMS": "0"}

    operator.post(f"/admin/facilitator/validator/{BOB.ss58}/change/", sockets)

    validator = Validator.objects.get()
    assert (validator.active, validator.source) == (False, Source.OPERATOR)

import pytest
from django.contrib.auth.models import Permission
from django.contrib.auth.models import User as Operator
from django.test import Client

from compute_horde_common.jobs.lifecycle import JobStatus
from compute_horde_common.protocol.live import JobLog, JobProgress, LogPiece
from facilitator.models import AllowedHotkey, Job, Source, Validator
from facilitator.services import fleet, jobs, live
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


def act(operator: Client, job: Job) -> str:
    """Cancels a job in the list; what the operator is told."""
    answer = operator.post(
        "/admin/facilitator/job/",
        {"action": "cancel", "_selected_action": [str(job.uuid)]},
        follow=True,
    )
    return " ".join(str(message) for message in answer.context["messages"])


def test_an_operator_cancels_a_job_in_the_list(operator: Client) -> None:
    job = a_job()

    told = [act(operator, job), act(operator, job)]

    assert all("is cancelled" in text for text in told)
    assert Job.objects.get().status == "failed"


def test_what_cannot_be_cancelled_is_told(operator: Client) -> None:
    job = a_job()
    jobs.move(job.uuid, JobStatus.COMPLETED, now())

    assert "has ended" in act(operator, job)


def test_who_may_only_look_cannot_cancel() -> None:
    reader = Operator.objects.create_user("reader", is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="view_job"))
    client, job = Client(), a_job()
    client.force_login(reader)

    act(client, job)

    assert Job.objects.get().cancel_requested_at is None


def write(job: Job, pieces: int) -> None:
    """Output that tries to be a part of the page, and progress."""
    texts = [f"<script>{number}</script>" for number in range(pieces)]
    message = JobLog(
        job_uuid=str(job.uuid),
        pieces=[LogPiece(number=at, stream="stdout", text=text) for at, text in enumerate(texts)],
    )
    live.record(message, validator=BOB.ss58, at=now())
    progress = JobProgress(job_uuid=str(job.uuid), percent=42.5, text="epoch 3")
    live.record(progress, validator=BOB.ss58, at=now())


def test_a_job_shows_its_progress_and_the_last_of_its_output(operator: Client) -> None:
    job = a_job()
    write(job, 30)

    page = operator.get(f"/admin/facilitator/job/{job.uuid}/change/").content.decode()
    listed = operator.get("/admin/facilitator/job/").content.decode()

    assert "&lt;script&gt;10&lt;/script&gt;" in page
    assert "<script>10" not in page
    assert "&lt;script&gt;9&lt;" not in page
    assert "42.5 % epoch 3" in listed


def test_a_hotkey_can_be_allowed(operator: Client) -> None:
    operator.post("/admin/facilitator/allowedhotkey/add/", {"ss58": ALICE.ss58, "note": "Alice"})

    assert AllowedHotkey.objects.get().ss58 == ALICE.ss58


def test_what_is_no_address_cannot_be_allowed(operator: Client) -> None:
    answer = operator.post("/admin/facilitator/allowedhotkey/add/", {"ss58": "5nobody"})

    assert "This is no SS58 address" in answer.content.decode()
    assert not AllowedHotkey.objects.exists()


def test_a_validator_that_the_operator_saved_is_the_operators(operator: Client) -> None:
    fleet.store_validators([BOB.ss58])

    operator.post(f"/admin/facilitator/validator/{BOB.ss58}/change/", {})

    validator = Validator.objects.get()
    assert (validator.active, validator.source) == (False, Source.OPERATOR)

import pytest

from compute_horde_common.contrib.django.models import Outbox
from compute_horde_common.protocol.facilitator_validator import CheatedJob
from compute_horde_common.protocol.rest import signature_headers
from compute_horde_common.protocol.signatures import cheat_report_payload, signed
from facilitator.domain.submissions import nanoseconds
from tests.scene import ALICE, MALLORY, Answer, User, a_job, another_signature, now

pytestmark = pytest.mark.django_db


def a_report(**changes: object) -> dict[str, object]:
    return {
        "job_uuid": str(a_job().uuid),
        "trusted_job_uuid": str(a_job(on_trusted_miner=True).uuid),
        "details": None,
        **changes,
    }


def send(user: User, body: dict[str, object]) -> Answer:
    payload = cheat_report_payload(
        str(body["job_uuid"]), str(body["trusted_job_uuid"]), body["details"]
    )
    signature = signed(payload, ALICE, timestamp_ns=nanoseconds(now()), scope="FullRequest")
    return user.post("/api/v1/cheated-job/", body, **signature_headers(signature))


def test_a_report_is_forwarded_with_its_details_even_if_null() -> None:
    body = a_report()

    answer = send(User.allowed(), body)

    frame = Outbox.objects.filter(about=body["job_uuid"]).last()
    assert (answer.status_code, list(answer.json())) == (201, ["message"])
    assert frame is not None
    assert '"details":null' in frame.body
    assert CheatedJob.model_validate_json(frame.body).signature is not None


def test_a_job_is_reported_once() -> None:
    user, body = User.allowed(), a_report(details={"x": [1]})
    send(user, body)

    again = send(user, body)

    assert (again.status_code, list(again.json())) == (400, ["error"])


def test_somebody_elses_job_cannot_be_reported() -> None:
    answer = send(User.allowed(MALLORY), a_report())

    assert (answer.status_code, list(answer.json())) == (404, ["error"])


def test_the_trusted_job_must_be_one() -> None:
    answer = send(User.allowed(), a_report(trusted_job_uuid=str(a_job().uuid)))

    assert answer.status_code == 404


def test_a_wrong_signature_is_refused() -> None:
    headers = signature_headers(another_signature())

    answer = User.allowed().post("/api/v1/cheated-job/", a_report(), **headers)

    assert answer.status_code == 400


def test_an_unsigned_report_is_taken() -> None:
    assert User.allowed().post("/api/v1/cheated-job/", a_report()).status_code == 201


def test_a_malformed_uuid_is_refused_with_its_field() -> None:
    answer = User.allowed().post("/api/v1/cheated-job/", a_report(job_uuid="x"))

    assert (answer.status_code, list(answer.json())) == (400, ["job_uuid"])
